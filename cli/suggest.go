package cli

import "fmt"

// suggestDistance is how many letters a word may be away from one that is
// suggested instead.
const suggestDistance = 3

// didYouMean is a clause that suggests the candidate nearest to word, or "" if
// none is near.
func didYouMean(prefix, word string, candidates []string) string {
	best, distance := "", suggestDistance+1
	for _, c := range candidates {
		if d := editDistance(word, c); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", prefix+best)
}

// editDistance is the number of letters to insert, delete or replace to get
// from a to b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
