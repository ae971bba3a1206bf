package manifest

// A DecodedNode is what DecodeNode found.
type DecodedNode struct {
	Size, Level uint64
	Digests     []Digest
	Again       []byte // the node, encoded again
}

// DecodeNode decodes one manifest node and encodes it again.
func DecodeNode(data []byte) (DecodedNode, error) {
	n, err := decodeNode(data)
	if err != nil {
		return DecodedNode{}, err
	}
	out := DecodedNode{Size: n.Size, Level: n.Level, Digests: n.Links.digests}
	out.Again, err = n.encode()
	return out, err
}
