package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// answer prints one result: as a JSON object, as its bare form, or as text for
// people. An empty bare form or text is not printed.
func (a *app) answer(kind string, v any, bare, text string) error {
	return a.answerTo(a.stdout, kind, v, bare, text)
}

func (a *app) answerTo(w io.Writer, kind string, v any, bare, text string) error {
	if a.global.json {
		return a.printJSON(w, kind, v)
	}
	if a.global.quiet {
		text = bare
	}
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// hint prints a line for people, beside the answer.
func (a *app) hint(format string, args ...any) {
	if a.global.quiet || a.global.json {
		return
	}
	fmt.Fprintln(a.stderr, cleanLines(fmt.Sprintf(format, args...)))
}

// printJSON prints v, which must marshal to an object, in one line with
// message_type before its own fields.
func (a *app) printJSON(w io.Writer, kind string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(withoutNil(v)); err != nil {
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	fields := bytes.TrimPrefix(bytes.TrimSpace(b.Bytes()), []byte("{"))
	line := append([]byte(`{"message_type":"`+kind+`"`), ',')
	if bytes.Equal(fields, []byte("}")) {
		line = line[:len(line)-1]
	}
	line = append(append(line, fields...), '\n')
	_, err := w.Write(line)
	return err
}

// withoutNil is v with empty lists where it has none: a reader of the JSON gets
// [] and never null.
func withoutNil(v any) any {
	c := reflect.New(reflect.TypeOf(v)).Elem()
	c.Set(reflect.ValueOf(v))
	fillSlices(c)
	return c.Interface()
}

func fillSlices(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		for i := range v.Len() {
			fillSlices(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillSlices(v.Field(i))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fillSlices(v.Elem())
		}
	}
}
