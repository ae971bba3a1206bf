package cli

import (
	"os"
	"testing"
)

// FuzzParseConfig: a file gives values of the schema's kinds, or an error.
func FuzzParseConfig(f *testing.F) {
	for _, path := range []string{"testdata/config/all.toml", "testdata/config/bad.toml"} {
		seed, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Add([]byte("transcribe = 1"))
	f.Add([]byte("[transcribe.engine]\nx = 1"))
	f.Add([]byte("listen = \"/a,/b\""))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := parseConfig(data)
		if err != nil {
			return
		}
		for key, v := range values {
			s, ok := settingOf(key)
			if !ok {
				t.Fatalf("key %q is not in the schema", key)
			}
			if !holds(s.kind, v) {
				t.Fatalf("%s is %#v, which is not %s", key, v, s.kind)
			}
		}
	})
}

// holds reports whether v is of the Go type of a kind.
func holds(k kind, v any) bool {
	var ok bool
	switch k {
	case truth:
		_, ok = v.(bool)
	case count:
		_, ok = v.(int)
	case list, words:
		_, ok = v.([]string)
	default:
		_, ok = v.(string)
	}
	return ok
}

// TestParseEveryKey: the sample file has every key of the schema.
func TestParseEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/config/all.toml")
	if err != nil {
		t.Fatal(err)
	}
	values, err := parseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range schema {
		if v, ok := values[s.key]; !ok || !holds(s.kind, v) {
			t.Errorf("%s is %#v in the sample", s.key, v)
		}
	}
}
