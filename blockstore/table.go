package blockstore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// A table of Badger is blocks, their index, its length, the sum of the index and
// the length of that. A block ends with its sum and the length of that. Lengths
// are 4 bytes, big-endian.
const (
	lengthBytes = 4
	// maxTableSum is the longest sum: a small protobuf message.
	maxTableSum = 64
)

var errTable = errors.New("damaged table")

// checkTable checks the file of a table: its index, its last block and, if the
// blocks are plain and it is not longer than budget, all of them. It returns how
// many bytes that were. Badger would panic in a goroutine of its own, or leave
// the table out.
func checkTable(path string, plain bool, budget int64) (checked int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, damaged(fmt.Errorf("%s is missing", filepath.Base(path)))
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() // read only: nothing to lose
	defer func() {
		// The parsers of Badger's formats panic on what is none.
		if r := recover(); r != nil {
			err = damaged(fmt.Errorf("%s: %w: %v", filepath.Base(path), errTable, r))
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	index, err := tableIndex(f, info.Size())
	if err == nil && plain {
		checked, err = checkBlocks(f, index, info.Size() <= budget)
	}
	if errors.Is(err, errTable) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = damaged(err)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return checked, nil
}

// tableIndex reads the index at the end of a table and checks its sum.
func tableIndex(f *os.File, size int64) (*fb.TableIndex, error) {
	end := size
	read := func(n int64) ([]byte, error) {
		if n < 0 || n > end {
			return nil, fmt.Errorf("%w: it is too short", errTable)
		}
		end -= n
		buf := make([]byte, n)
		_, err := io.ReadFull(io.NewSectionReader(f, end, n), buf)
		return buf, err
	}
	readSized := func(limit int64) ([]byte, error) {
		b, err := read(lengthBytes)
		if err != nil {
			return nil, err
		}
		n := int64(binary.BigEndian.Uint32(b))
		if n > limit {
			return nil, fmt.Errorf("%w: length of %d bytes, limit %d", errTable, n, limit)
		}
		return read(n)
	}
	sum, err := readSized(maxTableSum)
	if err != nil {
		return nil, err
	}
	index, err := readSized(size)
	if err != nil {
		return nil, err
	}
	if err := checkTableSum(index, sum); err != nil {
		return nil, err
	}
	return fb.GetRootAsTableIndex(index, 0), nil
}

func checkTableSum(data, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("%w: %w", errTable, err)
	}
	if want.Algo != pb.Checksum_CRC32C && want.Algo != pb.Checksum_XXHash64 {
		return fmt.Errorf("%w: unknown sum", errTable)
	}
	if err := y.VerifyChecksum(data, &want); err != nil {
		return fmt.Errorf("%w: %w", errTable, err)
	}
	return nil
}

// checkBlocks checks all blocks or the last.
func checkBlocks(f *os.File, index *fb.TableIndex, all bool) (checked int64, err error) {
	n := index.OffsetsLength()
	if n == 0 {
		return 0, fmt.Errorf("%w: no blocks", errTable)
	}
	first := n - 1
	if all {
		first = 0
	}
	var b fb.BlockOffset
	index.Offsets(&b, first)
	in := bufio.NewReaderSize(io.NewSectionReader(f, int64(b.Offset()), 1<<32), 256<<10)
	var buf []byte
	for i := first; i < n; i++ {
		index.Offsets(&b, i)
		if int64(b.Len()) > maxTableBlock {
			return checked, fmt.Errorf("%w: block of %d bytes", errTable, b.Len())
		}
		if int(b.Len()) > cap(buf) {
			buf = make([]byte, b.Len())
		}
		buf = buf[:b.Len()]
		if _, err := io.ReadFull(in, buf); err != nil {
			return checked, err
		}
		if err := checkBlock(buf); err != nil {
			return checked, err
		}
		checked += int64(len(buf))
	}
	return checked, nil
}

// maxTableBlock is the longest block: one whose only value is the longest that
// is not in the value log, in an index of earlier versions.
const maxTableBlock = 2 << 20

func checkBlock(b []byte) error {
	if len(b) < lengthBytes {
		return fmt.Errorf("%w: block of %d bytes", errTable, len(b))
	}
	b, length := b[:len(b)-lengthBytes], binary.BigEndian.Uint32(b[len(b)-lengthBytes:])
	if length > maxTableSum || int(length) > len(b) {
		return fmt.Errorf("%w: length of %d bytes", errTable, length)
	}
	return checkTableSum(b[:len(b)-int(length)], b[len(b)-int(length):])
}
