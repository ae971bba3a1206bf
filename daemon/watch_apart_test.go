package daemon

import "testing"

func TestCheckApart(t *testing.T) {
	tests := map[string]struct {
		dir, watched string
		ok           bool
	}{
		"apart":           {"/v/a", "/v/b", true},
		"the same":        {"/v/a", "/v/a", false},
		"in it":           {"/v/a/b/c", "/v/a", false},
		"around it":       {"/v", "/v/a/b", false},
		"a longer name":   {"/v/ab", "/v/a", true},
		"a shorter name":  {"/v/a", "/v/ab", true},
		"all there is":    {"/", "/v/a", false},
		"in all there is": {"/v/a", "/", false},
	}
	for name, test := range tests {
		if err := checkApart(test.dir, []string{"/other", test.watched}); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
