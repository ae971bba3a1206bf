package transcribe

// How far a transcript can be trusted, from the mean confidence of its words.
const (
	QualityHigh    = "high"    // about one word in four wrong or better
	QualityMedium  = "medium"  // good for search
	QualityLow     = "low"     // noise, music or an unfamiliar accent: few words are right
	QualityNone    = "none"    // no text worth showing
	QualityUnknown = "unknown" // the engine gives no confidence
)

const (
	highConfidence   = 0.55
	mediumConfidence = 0.40
	// keepConfidence is what a segment needs to get into the subtitle files. Noise
	// comes out as words with about 0.2, music with 0.26, clean speech with 0.68.
	keepConfidence = 0.30
)

// grade marks segments that are too uncertain to show and says how good the whole
// is. The mean runs over every word heard, also those not shown, so that a few
// lucky words in noise do not pass for good text.
func grade(segments []Segment) (quality string, confidence float64) {
	sum, words, kept := 0.0, 0, 0
	for i := range segments {
		s := &segments[i]
		s.Dropped = s.Confidence > 0 && s.Confidence < keepConfidence
		if !s.Dropped {
			kept++
		}
		if s.Confidence > 0 {
			n := max(1, len(s.Words))
			sum, words = sum+s.Confidence*float64(n), words+n
		}
	}
	if words > 0 {
		confidence = knownConfidence(sum / float64(words))
	}
	switch {
	case kept == 0:
		return QualityNone, confidence
	case words == 0:
		return QualityUnknown, 0
	case confidence >= highConfidence:
		return QualityHigh, confidence
	case confidence >= mediumConfidence:
		return QualityMedium, confidence
	}
	return QualityLow, confidence
}
