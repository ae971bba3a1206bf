package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxConfigBytes bounds a configuration file.
const maxConfigBytes = 1 << 20

// readConfig reads a configuration file into values by key. A file that is not
// there gives none, unless it must be.
func readConfig(path string, must bool) (map[string]any, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	if err != nil {
		return nil, &usageError{message: fmt.Sprintf("configuration: %v", err), noHint: true}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	values, err := parseConfig(data)
	if err != nil {
		return nil, &usageError{message: fmt.Sprintf("%s: %v", path, err), noHint: true}
	}
	return values, nil
}

// parseConfig decodes TOML. Every key must be in the schema and every value of
// its kind.
func parseConfig(data []byte) (map[string]any, error) {
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxConfigBytes)
	}
	var tree map[string]any
	if _, err := toml.Decode(string(data), &tree); err != nil {
		if e, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, fmt.Errorf("line %d: %s", e.Position.Line, e.Message)
		}
		return nil, errors.New(strings.TrimPrefix(err.Error(), "toml: "))
	}
	values := map[string]any{}
	return values, flatten(values, "", tree)
}

// flatten puts the values of a table, and of the tables in it, into values.
func flatten(values map[string]any, prefix string, table map[string]any) error {
	for _, name := range sortedKeys(table) {
		key := prefix + name
		s, known := settingOf(key)
		if inner, ok := table[name].(map[string]any); ok && !known && isSection(key) {
			if err := flatten(values, key+".", inner); err != nil {
				return err
			}
			continue
		}
		if !known || strings.Contains(name, ".") {
			return fmt.Errorf("unknown key %q%s", key, didYouMean("", key, keyNames()))
		}
		v, err := s.fromTOML(table[name])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		values[key] = v
	}
	return nil
}

// isSection reports whether keys lie below name.
func isSection(name string) bool {
	return slices.ContainsFunc(schema, func(s setting) bool { return strings.HasPrefix(s.key, name+".") })
}

func sortedKeys(table map[string]any) []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
