package watch

// Scanned tells whether everything was looked at since Run began, or since the
// folder is there again. Files that are there may still have to settle, or to be
// handled. It may be called at any time.
func (f *Folder) Scanned() bool { return f.looked.Load() }
