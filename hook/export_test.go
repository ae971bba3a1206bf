package hook

// Sign and ParseSecret are open to the tests that hold them against the
// specification's own example.
var (
	Sign        = sign
	ParseSecret = parseSecret
)
