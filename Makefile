# vidsync: everyday commands. `make demo` and `make test` set up all they need.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PREFIX  ?= /usr/local
FUZZTIME ?= 20s
export CGO_ENABLED = 0

BUILD = go build -trimpath -ldflags "-s -w -X github.com/vidsync/vidsync/cli.Version=$(VERSION)"

.PHONY: build test race fuzz lint cross demo bench bench-parts install deps generate clean

build: ## bin/vidsync
	$(BUILD) -o bin/vidsync ./cmd/vidsync

deps: ## ffmpeg and the built-in transcription engine, where they are missing
	@scripts/install-deps

test: deps ## everything that must pass
	go test -timeout 9m ./...

race: deps ## the same under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 25m ./...

fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

lint: ## gofmt, vet, staticcheck, and the platforms that must compile
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...

cross: ## every platform builds
	for t in linux/amd64 linux/arm64 linux/arm darwin/arm64; do \
		echo $$t; GOOS=$${t%/*} GOARCH=$${t#*/} go build -o /dev/null ./cmd/vidsync || exit 1; done

demo: deps build ## three nodes, one talk, one transcript
	@scripts/demo

bench: build ## figures of vidsync, of this machine's limits and of other ways; BENCH='-only far -runs 1', -list, -json
	go run ./internal/bench $(BENCH)

bench-parts: ## benchmarks of the parts
	go test -run '^$$' -bench . -benchmem ./manifest ./blockstore ./protocol ./exchange ./assemble

install: build ## into $(DESTDIR)$(PREFIX)/bin
	install -D -m 0755 bin/vidsync $(DESTDIR)$(PREFIX)/bin/vidsync

generate: ## protobuf code; needs protoc
	go generate ./protocol/...

clean:
	rm -rf bin dist
