// Package wire holds the protobuf messages that vidsync nodes exchange. The
// code is generated from wire.proto and peers.proto by protoc 3.21 or later.
package wire

//go:generate go build -o protoc-gen-go.tmp google.golang.org/protobuf/cmd/protoc-gen-go
//go:generate protoc -I ../../.. --plugin=protoc-gen-go=protoc-gen-go.tmp --go_out=../../.. --go_opt=paths=source_relative protocol/internal/wire/wire.proto protocol/internal/wire/peers.proto
//go:generate rm protoc-gen-go.tmp
