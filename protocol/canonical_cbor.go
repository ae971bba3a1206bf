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
		MaxArrayElements: 16,
		MaxMapPairs:      16,
		MaxNestedLevels:  4,
		TagsMd:           cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic("protocol: internal error: cbor mode: " + err.Error())
	}
	return mode
}()

// decodeCanonical decodes CBOR and refuses all but its one shortest form.
func decodeCanonical[T any](data []byte, into *T) error {
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
