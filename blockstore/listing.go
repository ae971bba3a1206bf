package blockstore

import "iter"

// AllFiles yields every file on record, in no order. They may have changed
// since they were added. It ends with the first error. Whoever wants the files
// of many videos gets them from here many times as fast as from Files: the
// records lie beside each other.
func (s *Store) AllFiles() iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for e, err := range s.scan([]byte{fileKey}, []byte{fileKey}) {
			if err != nil {
				yield(File{}, err)
				return
			}
			f, err := decodeFile(e.value)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}
