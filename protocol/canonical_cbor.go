package protocol

import (
	"bytes"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// strictCBOR refuses what has more than one encoding.
var strictCBOR = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		IndefLength:      cbor.IndefLengthForbidden,
		MaxArrayElements: 64,
		MaxMapPairs:      16,
		MaxNestedLevels:  4,
		TagsMd:           cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic("protocol: internal error: cbor mode: " + err.Error())
	}
	return mode
}()

// DecodeCanonical decodes CBOR of at most 64 elements an array and 4 levels, and
// refuses all but its one shortest form, so that what is signed has one
// encoding. data is hostile; the caller has bounded its length.
func DecodeCanonical[T any](data []byte, into *T) error {
	if err := strictCBOR.Unmarshal(data, into); err != nil {
		return err
	}
	again, err := cbor.Marshal(*into)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, again) {
		return errors.New("not in canonical form")
	}
	return nil
}
