# vidsync: everyday commands. `make demo` and `make test` set up all they need.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PREFIX  ?= /usr/local
FUZZTIME ?= 20s
# Of make soak: an edge, a server, a link and a card that fail while files are
# recorded; a server that follows so many edges.
FIELD ?= -chaos 10m -files 200
EDGES ?= -edges 50
# The commit's time, so that the same commit gives the same packages.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
RELEASES = amd64 arm64 arm
export VERSION
export CGO_ENABLED = 0

BUILD = go build -trimpath -ldflags "-s -w -X github.com/vidsync/vidsync/cli.Version=$(VERSION)"

.PHONY: build test race fuzz lint cross demo bench bench-parts soak install uninstall share deb dist deps generate clean FORCE

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

soak: build ## real daemons killed again and again, and power cuts; SOAK='-rounds 200 -seed 5 -only steps -dir DIR'
	go run ./internal/soak -vidsync bin/vidsync $(SOAK)
	go run ./internal/soak -vidsync bin/vidsync -only field $(FIELD)
	go run ./internal/soak -vidsync bin/vidsync -only edges $(EDGES)
	go test ./assemble -run PowerCut -soak 200 -timeout 30m

install: build share ## program, manual page, completions and user unit into $(DESTDIR)$(PREFIX)
	scripts/install-files install "$(DESTDIR)" "$(PREFIX)" bin/vidsync dist/share

uninstall: ## take them away again; settings and videos stay
	scripts/install-files uninstall "$(DESTDIR)" "$(PREFIX)"

deb: $(RELEASES:%=dist/linux-%/vidsync) share dist/share/third-party-licences ## dist/*.deb for amd64, arm64 and armhf
	scripts/package-deb $(RELEASES)

dist: $(RELEASES:%=dist/linux-%/vidsync) share dist/share/third-party-licences ## dist/*.tar.gz and SHA256SUMS
	scripts/package-tar $(RELEASES)

share: ## manual page, completions and configuration file into dist/share
	go run ./packaging/docgen -version "$(VERSION)" -date "$$(date -u -d @$(SOURCE_DATE_EPOCH) +%F)" dist/share

# GOARM=6 runs on every Raspberry Pi, and on all that Debian calls armhf.
dist/linux-%/vidsync: FORCE
	GOOS=linux GOARCH=$* GOARM=6 $(BUILD) -o $@ ./cmd/vidsync

dist/share/third-party-licences: FORCE
	@mkdir -p $(@D)
	scripts/third-party-licences $(RELEASES) >$@

FORCE:

generate: ## protobuf code; needs protoc
	go generate ./protocol/...

clean:
	rm -rf bin dist
