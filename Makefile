# SPDX-License-Identifier: MIT
#
#   make            programs and libraries into build/bin and build/lib
#   make demo       installs what is missing, builds, starts a cluster, runs the quick start
#   make test       installs what is missing, builds, runs every test
#   make bench      installs what is missing, builds, measures beside Redis (bench-rebalance: moves)
#   make model      installs what is missing, checks the protocol of moves exhaustively
#
#   SANITIZE=address,undefined | thread    builds apart, in build/<names>; CC=clang likewise
#
# Object files mirror the sources under $(BUILD)/obj; each folder becomes one archive, and the
# archives are linked in the order in which includes may point (DESIGN: cli, libclient, io, proto).

VERSION := 0.1.0
SOVERSION := 0
PREFIX ?= /usr/local
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))

comma := ,
FLAVOUR := $(strip $(if $(filter gcc,$(CC)),,$(notdir $(CC))) $(subst $(comma), ,$(SANITIZE)))
BUILD := build$(if $(FLAVOUR),/$(subst $() ,-,$(FLAVOUR)))

WARNINGS := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion \
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual \
    -Wcast-align -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wdouble-promotion -Wnull-dereference \
    -Wimplicit-fallthrough
HARDENING := -fstack-protector-strong -Wl,-z,relro,-z,now
OPTIMIZE := -O2 -g $(if $(SANITIZE),,-D_FORTIFY_SOURCE=3)
CPPFLAGS += -I. -D_GNU_SOURCE -DSHARDKV_VERSION='"$(VERSION)"'
CFLAGS += -std=c11 $(WARNINGS) $(OPTIMIZE) -fPIC -fvisibility=hidden -ffunction-sections
CFLAGS += $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CFLAGS += $(if $(filter thread,$(SANITIZE)),-Wno-tsan)
LDFLAGS += $(HARDENING) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -Wl,--gc-sections
PIE := -pie

# A request passes through functions of a dozen files: inlining across them saves shardd a tenth of its
# processor time. The objects have both forms, since tests and the library are linked without.
LINK_LTO := -fno-lto
LTO := $(if $(SANITIZE)$(filter-out gcc,$(notdir $(CC))),,-flto=auto -ffat-lto-objects)

# `make V=1` shows the commands.
ifneq ($(V),1)
.SILENT:
endif
say = @echo "  $(1)	$@"

FOLDERS := proto io libclient bootstrapd shardd cli
sources = $(wildcard $(1)/*.c)
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(call sources,$(1))))
archive = $(BUILD)/obj/lib$(1).a

PROTO_LIBS := -ljansson
IO_LIBS := -levent_core -pthread
TREE_LIBS := -llmdb

PROGRAMS := $(BUILD)/bin/bootstrapd $(BUILD)/bin/shardd $(BUILD)/bin/shardkv
SHARED := $(BUILD)/lib/libshardkv.so.$(VERSION)
STATIC := $(BUILD)/lib/libshardkv.a
PKGCONFIG := $(BUILD)/lib/shardkv.pc

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*_test.c))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))
SIMULATOR := $(BUILD)/tests/sim/simulate

.PHONY: all deps test-deps lint-deps demo demo-stop test unit cluster fuzz fuzz-short sim torture \
    lint install clean build-tests
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(SHARED) $(STATIC) $(PKGCONFIG)

# --- objects, archives, programs ---

$(BUILD)/obj/%.o: %.c Makefile
	$(call say,CC)
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LTO) -MMD -MP -c $< -o $@

define folder_archive
$(call archive,$(1)): $(call objects,$(1))
	rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach folder,$(FOLDERS),$(eval $(call folder_archive,$(folder))))

LINK = $(call say,LINK); mkdir -p $(@D); $(CC) $(CFLAGS) $(LINK_LTO) $(PIE) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)

$(BUILD)/bin/bootstrapd: $(BUILD)/obj/bootstrapd/main.o $(call archive,bootstrapd) $(call archive,io) $(call archive,proto)
	$(LINK) $(IO_LIBS) $(PROTO_LIBS)

$(BUILD)/bin/shardd: LINK_LTO := $(LTO)
$(BUILD)/bin/shardd: $(BUILD)/obj/shardd/main.o $(call archive,shardd) $(call archive,io) $(call archive,proto)
	$(LINK) $(TREE_LIBS) $(IO_LIBS) $(PROTO_LIBS)

$(BUILD)/bin/shardkv: $(BUILD)/obj/cli/main.o $(call archive,cli) $(STATIC) $(call archive,io) $(call archive,proto)
	$(LINK) $(IO_LIBS) $(PROTO_LIBS) -lm

# --- the library: only skv_ symbols are to be seen, in both forms ---

$(SHARED): $(call objects,libclient) $(call archive,io) $(call archive,proto) libclient/shardkv.map
	$(call say,LINK)
	mkdir -p $(@D)
	$(CC) $(CFLAGS) -fno-lto -shared $(LDFLAGS) -Wl,-soname,libshardkv.so.$(SOVERSION) \
	    -Wl,--version-script=libclient/shardkv.map -o $@ $(filter %.o %.a,$^) -pthread
	ln -sf $(@F) $(@D)/libshardkv.so.$(SOVERSION)
	ln -sf libshardkv.so.$(SOVERSION) $(@D)/libshardkv.so

$(STATIC): $(call objects,libclient) $(call archive,io) $(call archive,proto)
	$(call say,AR)
	mkdir -p $(@D)
	ld -r -o $(BUILD)/obj/shardkv.o $^
	objcopy --localize-hidden --wildcard --remove-section='.gnu.lto_*' $(BUILD)/obj/shardkv.o
	rm -f $@
	ar rcs $@ $(BUILD)/obj/shardkv.o

$(PKGCONFIG): libclient/shardkv.pc.in Makefile
	mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(STATIC) $(SHARED) $(DESTDIR)$(PREFIX)/lib
	ln -sf $(notdir $(SHARED)) $(DESTDIR)$(PREFIX)/lib/libshardkv.so.$(SOVERSION)
	ln -sf libshardkv.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libshardkv.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' libclient/shardkv.pc.in \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/shardkv.pc
	install -m 644 libclient/shardkv.h $(DESTDIR)$(PREFIX)/include
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 644 config/completion/shardkv.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/shardkv
	if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

# --- what must be installed first ---

deps:
	@config/deps.sh build

test-deps:
	@config/deps.sh build test

lint-deps:
	@config/deps.sh build test lint

# --- people's two commands ---

demo: deps
	@$(MAKE) --no-print-directory all
	@config/demo.sh start

demo-stop:
	@config/demo.sh stop

test: test-deps
	@$(MAKE) --no-print-directory all build-tests
	@BUILD=$(BUILD) tests/run

# --- tests, one kind at a time ---

ALL_ARCHIVES := $(foreach folder,cli libclient bootstrapd shardd io proto,$(call archive,$(folder)))

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(ALL_ARCHIVES)
	$(LINK) $(TREE_LIBS) $(IO_LIBS) $(PROTO_LIBS) -lcmocka -lm

# What the tortures judge by is tested, too.
JUDGE := $(patsubst %,$(BUILD)/obj/tests/torture/%.o,judge history operation)
$(BUILD)/tests/unit/judge_test: $(BUILD)/obj/tests/unit/judge_test.o $(JUDGE) $(call archive,io) $(call archive,proto)
	$(LINK) $(IO_LIBS) $(PROTO_LIBS) -lcmocka

# Whether a history is linearizable, the simulator's checker tells; with the tortures' body of its surroundings.
CHECKER := $(patsubst %,$(BUILD)/obj/tests/%.o,sim/checker torture/chronicle)
$(BUILD)/tests/unit/checker_test: $(BUILD)/obj/tests/unit/checker_test.o $(CHECKER) $(call archive,io) $(call archive,proto)
	$(LINK) $(IO_LIBS) $(PROTO_LIBS) -lcmocka

# Both daemons and the library in one program: of each only its own names are to be seen, and of
# shardd all but the tree, whose body is the simulator's. malloc is wrapped so that a crashed
# process's memory goes with it, assert() so that a broken one names the seed, minting so that who gave which ids is known:
# the minter is therefore linked beside the rest of its daemon.
SIM_WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=aligned_alloc,--wrap=free,--wrap=strdup,--wrap=strndup,--wrap=__assert_fail,--wrap=minter_new,--wrap=minter_take_over,--wrap=minter_mint
SIM_MINTER := $(BUILD)/obj/shardd/minter.o
SIM_PARTS := $(patsubst %,$(BUILD)/obj/sim_%.o,bootstrapd shardd skv)

$(BUILD)/obj/sim_bootstrapd.o: $(call objects,bootstrapd)
$(BUILD)/obj/sim_shardd.o: $(filter-out %/tree.o $(SIM_MINTER),$(call objects,shardd))
$(BUILD)/obj/sim_skv.o: $(call objects,libclient)
$(SIM_PARTS): $(BUILD)/obj/sim_%.o:
	ld -r -o $@ $^
	objcopy --wildcard --keep-global-symbol='$*_*' $@

$(SIMULATOR): $(call objects,tests/sim) $(SIM_PARTS) $(SIM_MINTER) $(call archive,io) $(call archive,proto)
	$(LINK) $(SIM_WRAP) $(PROTO_LIBS) -lm

# Fault tests with real processes. Libraries that are loaded before the server's are built plainly
# whatever the rest is built with: they define what they wrap.
TORTURE := $(BUILD)/tests/torture/torture
PRELOADS := $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/torture/*_preload.c))

$(TORTURE): $(filter-out %_preload.o,$(call objects,tests/torture)) $(firstword $(CHECKER)) $(STATIC) $(call archive,io) $(call archive,proto)
	$(LINK) $(IO_LIBS) $(PROTO_LIBS)

$(PRELOADS): $(BUILD)/%.so: %.c $(wildcard tests/torture/*.h) Makefile
	$(call say,LINK)
	mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 $(WARNINGS) -O2 -g -fPIC -shared -o $@ $<

build-tests: $(UNIT_TESTS) $(SIMULATOR) $(TORTURE) $(PRELOADS) $(addprefix build/fuzz/,$(FUZZERS))

unit: $(UNIT_TESTS)
	@prove $(UNIT_TESTS)

RUNS ?= 1
sim: $(SIMULATOR)
	$(SIMULATOR) $(if $(SEED),--seed $(SEED)) --runs $(RUNS)

# At length, with totals at the end; or make torture KIND="kill sim" SEED=7. One power cut again:
# $(TORTURE) power --seed 7 --only 17
torture: $(PROGRAMS) $(TORTURE) $(PRELOADS) $(SIMULATOR)
	@BUILD=$(BUILD) tests/torture/run $(KIND)

# Bugs, one for each patch, that a test must catch: all of them, or make planted PLANTED="S2 L4"
.PHONY: planted
planted: test-deps
	@tests/planted/run $(PLANTED)

# Fuzzers are always clang's, with sanitizers, whatever the rest is built with.
FUZZ_FLAGS := -std=c11 $(CPPFLAGS) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
build/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h proto/*.c proto/*.h)
	$(call say,FUZZ)
	mkdir -p $(@D)
	clang $(FUZZ_FLAGS) -o $@ $< $(call sources,proto) $(PROTO_LIBS)

FUZZ_SECONDS ?= 60
fuzz: $(addprefix build/fuzz/,$(FUZZERS))
	@tests/fuzz/run $(FUZZ_SECONDS)

# --- the protocol of moves as a model: make model MODEL="late V6" for parts of it ---

.PHONY: model
model:
	@config/deps.sh build model
	@BUILD=$(BUILD) tests/model/run $(MODEL)

# --- speed: beside Redis, in one run; make bench BENCH="--quick ROW..." README=1 ---

BENCH_TOOLS := $(addprefix $(BUILD)/tests/bench/,apply_order echo_server hot_bench idle_connections)

.PHONY: bench bench-tools
bench:
	@config/deps.sh build bench
	@$(MAKE) --no-print-directory all bench-tools
	@BUILD=$(BUILD) tests/bench/run $(if $(README),--readme) $(BENCH)

# Moves, beside Redis Cluster; table, JSON and picture of both: likewise.
.PHONY: bench-rebalance
bench-rebalance:
	@config/deps.sh build bench
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) tests/bench/rebalance $(if $(README),--readme) $(BENCH)

bench-tools: $(BENCH_TOOLS)

$(BUILD)/tests/bench/%: $(BUILD)/obj/tests/bench/%.o $(ALL_ARCHIVES)
	$(LINK) $(TREE_LIBS) $(IO_LIBS) $(PROTO_LIBS) -lm

# --- lint ---

LINT_SOURCES := $(foreach folder,$(FOLDERS) tests/unit tests/sim tests/fuzz tests/cluster tests/torture,$(wildcard $(folder)/*.c))
LINT_HEADERS := $(foreach folder,$(FOLDERS) tests/unit tests/sim tests/fuzz tests/torture,$(wildcard $(folder)/*.h))
LINT_SCRIPTS := $(shell grep -lE '^\#!.*(bash|/sh|bats)' -r config tests .ci 2>/dev/null)

lint: lint-deps
	tests/lint/layers
	tests/lint/documents
	clang-format --dry-run --Werror $(LINT_SOURCES) $(LINT_HEADERS)
	shellcheck $(LINT_SCRIPTS)
	cppcheck --quiet --error-exitcode=1 --enable=warning,style,performance,portability --inline-suppr \
	    --suppressions-list=tests/lint/cppcheck-suppressions --std=c11 -I. -j2 $(FOLDERS)
	printf '%s\n' $(LINT_SOURCES) | xargs -P2 -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- \
	    -std=c11 $(CPPFLAGS)

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
