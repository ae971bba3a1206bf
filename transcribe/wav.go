package transcribe

import "encoding/binary"

// wavHeader is the 44-byte header of a WAV file with size bytes of 16 kHz mono s16le.
// No extra chunks: some programs skip exactly 44 bytes.
func wavHeader(size uint32) []byte {
	le := binary.LittleEndian
	h := make([]byte, 0, 44)
	h = append(h, "RIFF"...)
	h = le.AppendUint32(h, 36+size)
	h = append(h, "WAVEfmt "...)
	h = le.AppendUint32(h, 16)             // length of this chunk
	h = le.AppendUint16(h, 1)              // PCM
	h = le.AppendUint16(h, 1)              // channels
	h = le.AppendUint32(h, sampleRate)     // samples a second
	h = le.AppendUint32(h, bytesPerSecond) // bytes a second
	h = le.AppendUint16(h, 2)              // bytes a sample
	h = le.AppendUint16(h, 16)             // bits a sample
	h = append(h, "data"...)
	return le.AppendUint32(h, size)
}
