package watch

// missUnseen takes note of what was in d before and is not there any more.
func (t *tracker) missUnseen(d *dir) {
	for _, f := range d.files {
		if f.pass != d.pass {
			t.miss(f, false)
		}
	}
	for _, sub := range d.dirs {
		if sub.listed != d.pass {
			t.drop(sub, false)
		}
	}
}

// drop takes a folder that is not there out of the tree. If it was on a file
// system of its own, that was unmounted: its files are not told as gone.
func (t *tracker) drop(d *dir, heard bool) {
	each := func(f *file) { t.miss(f, heard) }
	if d.isMount() {
		each = t.forget
	}
	t.dropBelow(d, each)
	t.unnotice(d)
	d.gone = true
	delete(d.parent.dirs, d.name)
	t.tree.folders--
}

// dropBelow takes all that is in d out of the tree.
func (t *tracker) dropBelow(d *dir, each func(*file)) {
	for _, f := range d.files {
		each(f)
	}
	for _, sub := range d.dirs {
		below := each
		if sub.isMount() {
			below = t.forget
		}
		t.dropBelow(sub, below)
		t.unnotice(sub)
		sub.gone = true
		t.tree.folders--
	}
	d.dirs = nil
}
