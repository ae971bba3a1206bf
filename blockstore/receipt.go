package blockstore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/vidsync/vidsync/manifest"
)

// Receipt is the durable record of which pieces of a video that is being
// fetched are verified and on disk.
type Receipt struct {
	Video     cid.Cid
	Part      string         // path of the file that the pieces are in
	Final     string         // path of the file once it is whole
	Inode     uint64         // of the part
	Device    uint64         // of the part
	Recording string         // that the video is a version of, or ""; at most MaxRecording bytes
	Masks     map[int]uint32 // of the blocks with any piece; bit i is piece i
}

// ReceiptUpdate is what one block has gained.
type ReceiptUpdate struct {
	Block    manifest.Block
	Mask     uint32            // all pieces now on disk
	Outboard manifest.Outboard // filled as far as the pieces' proofs tell
}

// PutReceipt starts the receipt of a video, or starts it anew with another
// part: earlier masks are gone, and those of r do not count. Both paths are
// absolute. A recording has one receipt: one of another version ends.
func (s *Store) PutReceipt(r Receipt) error {
	d, err := manifest.NodeDigest(r.Video)
	if err != nil {
		return err
	}
	record := receiptRecord{
		File: uint64(s.numbers.take()), Part: r.Part, Final: r.Final, Inode: r.Inode, Device: r.Device, Recording: r.Recording,
	}
	var old []orphan
	err = s.update(func(t txn) error {
		if err := errors.Join(checkPath(r.Part), checkPath(r.Final), checkRecording(r.Recording)); err != nil {
			return err
		}
		if old, err = t.endRecording(r.Recording, d); err != nil {
			return err
		}
		same, err := t.endReceipt(d)
		if err != nil {
			return err
		}
		old = append(old, same...)
		delete(s.fresh, d)
		return t.putReceipt(d, record)
	})
	if err != nil {
		return fmt.Errorf("start receipt of %s: %w", r.Video, err)
	}
	s.forgotten(old)
	return nil
}

func (t txn) putReceipt(d manifest.Digest, r receiptRecord) error {
	record, err := encodeRecord(r)
	if err != nil {
		return err
	}
	return t.Set(digestKey(receiptKey, d), record)
}

func (t txn) receipt(d manifest.Digest) (r receiptRecord, err error) {
	err = t.value(digestKey(receiptKey, d), func(v []byte) (err error) {
		r, err = decodeReceipt(v)
		return err
	})
	return r, err
}

func decodeReceipt(data []byte) (r receiptRecord, err error) {
	if err := decodeRecord(data, &r); err != nil {
		return receiptRecord{}, err
	}
	if err := checkRecording(r.Recording); err != nil {
		return receiptRecord{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	return r, nil
}

// endReceipt takes the receipt of video d out, if there is one.
func (t txn) endReceipt(d manifest.Digest) ([]orphan, error) {
	r, err := t.receipt(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := t.Delete(digestKey(receiptKey, d)); err != nil {
		return nil, err
	}
	o, err := t.orphan(fileID(r.File), d)
	return []orphan{o}, err
}

// Receipt returns the receipt of a video; fs.ErrNotExist if there is none.
func (s *Store) Receipt(video cid.Cid) (Receipt, error) {
	d, err := manifest.NodeDigest(video)
	if err != nil {
		return Receipt{}, err
	}
	var r Receipt
	err = s.view(func(t txn) error {
		r, err = t.wholeReceipt(d)
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt of %s: %w", video, err)
	}
	return r, nil
}

// wholeReceipt is the receipt of video d with its masks.
func (t txn) wholeReceipt(d manifest.Digest) (Receipt, error) {
	r, err := t.receipt(d)
	if err != nil {
		return Receipt{}, err
	}
	out := Receipt{
		Video: videoCID(d), Part: r.Part, Final: r.Final, Inode: r.Inode, Device: r.Device, Recording: r.Recording,
		Masks: make(map[int]uint32),
	}
	return out, t.masks(fileID(r.File), func(block int, mask uint32) { out.Masks[block] = mask })
}

// CommitReceipt records pieces that are verified and on disk: the caller has
// synced the file before. Masks replace earlier ones. Without a receipt it
// returns fs.ErrNotExist. A failure may leave some of the updates recorded.
func (s *Store) CommitReceipt(video cid.Cid, updates []ReceiptUpdate) error {
	d, err := manifest.NodeDigest(video)
	if err != nil {
		return err
	}
	for _, u := range updates {
		if err := checkUpdate(u); err != nil {
			return fmt.Errorf("receipt of %s: %w", video, err)
		}
	}
	for batch := range slices.Chunk(updates, batchBlocks) {
		if err := s.update(func(t txn) error { return t.commitReceipt(d, batch) }); err != nil {
			return fmt.Errorf("receipt of %s: %w", video, err)
		}
	}
	return nil
}

func checkUpdate(u ReceiptUpdate) error {
	if u.Block.Index < 0 || u.Block.Index >= manifest.NumBlocks(manifest.MaxVideoSize) {
		return fmt.Errorf("no video has a block %d", u.Block.Index)
	}
	if err := checkOutboard(u.Block, u.Outboard); err != nil {
		return err
	}
	if u.Mask&^fullMask(u.Block.Len) != 0 {
		return fmt.Errorf("block %d: mask %#x has pieces beyond the last", u.Block.Index, u.Mask)
	}
	return nil
}

// fullMask has the bit of every piece of a block of blockLen bytes set.
func fullMask(blockLen int64) uint32 { return uint32(1<<manifest.NumPieces(blockLen) - 1) }

// commitReceipt records updates. The places of whole blocks are written with
// them, under the receipt's file number, and count once the file is finished.
func (t txn) commitReceipt(d manifest.Digest, updates []ReceiptUpdate) error {
	r, err := t.receipt(d)
	if err != nil {
		return err
	}
	id := fileID(r.File)
	var whole []write
	for _, u := range updates {
		value := encodeMask(u.Mask, u.Outboard)
		if u.Mask == fullMask(u.Block.Len) {
			value = encodeMask(u.Mask, nil)
			whole = append(whole, write{block: u.Block, outboard: u.Outboard})
		}
		if err := t.Set(fileItemKey(maskKey, id, u.Block.Index), value); err != nil {
			return err
		}
	}
	return t.putBlocks(id, whole)
}

// ReceiptOutboard returns what a receipt has of a block's proof tree: all of it
// if the block is whole. fs.ErrNotExist if there is no receipt or nothing of
// the block in it.
func (s *Store) ReceiptOutboard(video cid.Cid, block manifest.Block) (o manifest.Outboard, err error) {
	d, err := manifest.NodeDigest(video)
	if err != nil {
		return nil, err
	}
	err = s.view(func(t txn) error {
		r, err := t.receipt(d)
		if err != nil {
			return err
		}
		o, err = t.receiptOutboard(fileID(r.File), block)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("receipt of %s: proof of block %d: %w", video, block.Index, err)
	}
	return o, nil
}

func (t txn) receiptOutboard(id fileID, block manifest.Block) (o manifest.Outboard, err error) {
	value, err := t.copied(fileItemKey(maskKey, id, block.Index))
	if err != nil {
		return nil, err
	}
	mask, o, err := decodeMask(value)
	if err != nil {
		return nil, err
	}
	if mask == fullMask(block.Len) {
		if o, err = t.copied(digestKey(blockKey, block.Digest)); err != nil {
			return nil, err
		}
	}
	if len(o) != manifest.OutboardLen(block.Len) {
		return nil, fmt.Errorf("%w: proof of %d bytes", errRecord, len(o))
	}
	return o, nil
}

// DropReceipt gives the receipt of a video up. The part is the caller's to
// delete. Without a receipt it does nothing.
func (s *Store) DropReceipt(video cid.Cid) error {
	d, err := manifest.NodeDigest(video)
	if err != nil {
		return err
	}
	var old []orphan
	err = s.remove(func(t txn) error {
		old, err = t.endReceipt(d)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop receipt of %s: %w", video, err)
	}
	s.forgotten(old)
	return nil
}
