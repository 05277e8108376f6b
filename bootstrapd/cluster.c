/* SPDX-License-Identifier: MIT */
#include "bootstrapd/cluster.h"

#include <stdlib.h>

#include "bootstrapd/numbers.h"
#include "io/memory.h"
#include "proto/point.h"

struct cluster {
    struct ledger present;
    struct site *sites; /* by address */
    uint32_t site_count;
    uint32_t *order;             /* indexes of present.map.entries, by address */
    struct site_report *reports; /* parallel to present.map.entries */
    uint64_t site_version;
    bool has_guest;
    struct address guest;
    uint64_t guest_capacity;
    struct text behind;
    uint64_t seen_revision, seen_term; /* of servers that it is behind of */
    bool is_settled; /* cluster_next found nothing, and nothing that matters was heard since */
};

static struct site_entries entries_of(const struct cluster *cluster)
{
    return (struct site_entries){&cluster->present.map, cluster->order, cluster->reports};
}

static int compare_entries(const void *a, const void *b, void *context)
{
    const struct map *map = context;
    uint32_t index_a = *(const uint32_t *)a;
    uint32_t index_b = *(const uint32_t *)b;
    int order = address_compare(&map->entries[index_a].address, &map->entries[index_b].address);
    return order ? order : (index_a > index_b) - (index_a < index_b);
}

static int compare_sites(const void *a, const void *b)
{
    return address_compare(&((const struct site *)a)->address, &((const struct site *)b)->address);
}

static int compare_addresses(const void *a, const void *b)
{
    return address_compare(a, b);
}

static struct site *find_site(const struct site *sites, uint32_t count,
                              const struct address *address)
{
    struct site wanted = {.address = *address};
    return count ? bsearch(&wanted, sites, count, sizeof(*sites), compare_sites) : NULL;
}

/* All at which a server is to be looked for, sorted; some several times. */
static struct address *list_addresses(const struct cluster *cluster, uint32_t *count)
{
    const struct map *map = &cluster->present.map;
    uint32_t listed = 0;
    struct address *addresses =
        memory_get((size_t)map->entry_count + map->server_count + 1, sizeof(*addresses));
    for (uint32_t i = 0; i < map->entry_count; i++) {
        addresses[listed++] = map->entries[i].address;
    }
    for (uint32_t i = 0; i < map->server_count; i++) {
        addresses[listed++] = map->servers[i].address;
    }
    if (cluster->has_guest) {
        addresses[listed++] = cluster->guest;
    }
    qsort(addresses, listed, sizeof(*addresses), compare_addresses);
    *count = listed;
    return addresses;
}

static void order_entries(struct cluster *cluster)
{
    struct map *map = &cluster->present.map;
    cluster->order = memory_resize(cluster->order, map->entry_count, sizeof(*cluster->order));
    for (uint32_t i = 0; i < map->entry_count; i++) {
        cluster->order[i] = i;
    }
    qsort_r(cluster->order, map->entry_count, sizeof(*cluster->order), compare_entries, map);
}

/* Of the entries in their order, from `next` on: those at the site's address. */
static uint32_t give_entries(const struct cluster *cluster, struct site *site, uint32_t next)
{
    const struct map *map = &cluster->present.map;
    site->first = next;
    while (next < map->entry_count &&
           address_equal(&map->entries[cluster->order[next]].address, &site->address)) {
        next++;
    }
    site->entry_count = next - site->first;
    return next;
}

/* Groups the entries by address; what was heard at addresses that stay is kept. */
static void gather_sites(struct cluster *cluster)
{
    struct site *old = cluster->sites;
    uint32_t old_count = cluster->site_count;
    uint32_t address_count = 0;
    uint32_t next = 0;
    struct address *addresses = list_addresses(cluster, &address_count);
    order_entries(cluster);
    cluster->sites = memory_get(address_count, sizeof(*cluster->sites));
    cluster->site_count = 0;
    cluster->site_version++;
    for (uint32_t i = 0; i < address_count; i++) {
        if (i > 0 && address_equal(&addresses[i - 1], &addresses[i])) {
            continue;
        }
        const struct site *known = find_site(old, old_count, &addresses[i]);
        struct site *site = &cluster->sites[cluster->site_count++];
        *site = known ? *known : (struct site){.address = addresses[i]};
        next = give_entries(cluster, site, next);
    }
    free(addresses);
    free(old);
}

static void judge_all(struct cluster *cluster)
{
    struct site_entries entries = entries_of(cluster);
    for (uint32_t i = 0; i < cluster->site_count; i++) {
        site_judge(&cluster->sites[i], &entries);
    }
}

struct cluster *cluster_new(struct ledger *ledger)
{
    struct cluster *cluster = memory_get(1, sizeof(*cluster));
    cluster->present = *ledger;
    *ledger = (struct ledger){0};
    cluster->reports = memory_get(cluster->present.map.entry_count, sizeof(*cluster->reports));
    gather_sites(cluster);
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    if (!cluster) {
        return;
    }
    ledger_fini(&cluster->present);
    free(cluster->sites);
    free(cluster->order);
    free(cluster->reports);
    free(cluster);
}

const struct ledger *cluster_ledger(const struct cluster *cluster)
{
    return &cluster->present;
}

uint32_t cluster_site_count(const struct cluster *cluster)
{
    return cluster->site_count;
}

const struct site *cluster_site(const struct cluster *cluster, uint32_t index)
{
    return &cluster->sites[index];
}

const struct site *cluster_find_site(const struct cluster *cluster, const struct address *address)
{
    return find_site(cluster->sites, cluster->site_count, address);
}

const struct site *cluster_server_site(const struct cluster *cluster, const uint8_t server[ID_LEN])
{
    const struct map_server *known = map_find_server(&cluster->present.map, server);
    return known ? cluster_find_site(cluster, &known->address) : NULL;
}

bool cluster_is_up(const struct cluster *cluster, const uint8_t server[ID_LEN])
{
    const struct site *site = cluster_server_site(cluster, server);
    return site && site->state == SITE_UP && memcmp(site->hello.server, server, ID_LEN) == 0;
}

uint64_t cluster_site_version(const struct cluster *cluster)
{
    return cluster->site_version;
}

void cluster_invite(struct cluster *cluster, const struct address *address, uint64_t capacity)
{
    cluster->has_guest = address != NULL;
    cluster->guest = address ? *address : (struct address){.port = 0};
    cluster->guest_capacity = capacity;
    cluster->is_settled = false;
    gather_sites(cluster);
    judge_all(cluster);
}

/* --- what was heard --- */

#define WAY_OUT                                                                                    \
    "nothing is changed until the newer one is back, or what the servers know is taken with: "     \
    "shardkv map recover"

static void note_behind(struct cluster *cluster, const struct site *site)
{
    const struct map *map = &cluster->present.map;
    const struct site_hello *hello = &site->hello;
    uint64_t seen = hello->epoch > hello->revision ? hello->epoch : hello->revision;
    if (seen <= map->revision || memcmp(hello->cluster, map->cluster, ID_LEN) != 0) {
        return;
    }
    cluster->seen_revision = seen > cluster->seen_revision ? seen : cluster->seen_revision;
    if (text_is_empty(&cluster->behind)) {
        text_set(&cluster->behind, "server ");
        text_add_address(&cluster->behind, &site->address);
        text_add(&cluster->behind,
                 " has taken revision %llu and this map is at %llu: an old copy of it was "
                 "restored; " WAY_OUT,
                 (unsigned long long)seen, (unsigned long long)map->revision);
    }
}

void cluster_on_outranked(struct cluster *cluster, const struct address *address, uint64_t term)
{
    cluster->seen_term = term > cluster->seen_term ? term : cluster->seen_term;
    if (text_is_empty(&cluster->behind)) {
        text_set(&cluster->behind, "server ");
        text_add_address(&cluster->behind, address);
        text_add(&cluster->behind,
                 " knows of a bootstrapd with term %llu and this one has %llu: an old copy of its "
                 "directory was restored; " WAY_OUT,
                 (unsigned long long)term, (unsigned long long)cluster->present.term);
    }
}

/* Its data may have come back. */
static void forget_missing(struct cluster *cluster, const struct site *site)
{
    for (uint32_t i = 0; i < site->entry_count; i++) {
        cluster->reports[cluster->order[site->first + i]].missing = 0;
    }
}

void cluster_on_hello(struct cluster *cluster, const struct address *address,
                      const struct site_hello *hello)
{
    struct site *site = find_site(cluster->sites, cluster->site_count, address);
    if (site) {
        struct site_entries entries = entries_of(cluster);
        forget_missing(cluster, site);
        site->contact = CONTACT_HELLO;
        site->hello = *hello;
        site->refusal = STATUS_OK;
        cluster->is_settled = false;
        note_behind(cluster, site);
        site_judge(site, &entries);
    }
}

static void hear(struct cluster *cluster, struct site *site, enum status code, struct bytes text)
{
    struct site_entries entries = entries_of(cluster);
    enum site_state before = site->state;
    site->refusal = code;
    text_clear(&site->reason);
    text_add_foreign(&site->reason, text);
    site_judge(site, &entries);
    cluster->is_settled = cluster->is_settled && site->state == before;
}

void cluster_on_refused(struct cluster *cluster, const struct address *address, enum status code,
                        struct bytes text)
{
    struct site *site = find_site(cluster->sites, cluster->site_count, address);
    if (site) {
        site->contact = CONTACT_REFUSED;
        hear(cluster, site, code, text);
    }
}

void cluster_on_pushed(struct cluster *cluster, const struct address *address, enum status code,
                       struct bytes text)
{
    struct site *site = find_site(cluster->sites, cluster->site_count, address);
    if (site && site->contact == CONTACT_HELLO) {
        hear(cluster, site, code, text);
    }
}

void cluster_on_down(struct cluster *cluster, const struct address *address, const char *reason)
{
    struct site *site = find_site(cluster->sites, cluster->site_count, address);
    if (site) {
        site->contact = CONTACT_NONE;
        hear(cluster, site, STATUS_OK, bytes_text(reason));
    }
}

/* Of an entry as the server at the site has it by the present map; else NULL. */
static struct site_report *find_report(struct cluster *cluster, const struct site *site,
                                       struct bytes name, uint64_t epoch)
{
    const struct map *map = &cluster->present.map;
    const struct map_entry *entry = map_find_name(map, name);
    bool is_its = site && site->contact == CONTACT_HELLO && entry && entry->epoch == epoch &&
                  memcmp(entry->server, site->hello.server, ID_LEN) == 0;
    return is_its ? &cluster->reports[entry - map->entries] : NULL;
}

void cluster_on_opened(struct cluster *cluster, const struct address *address, struct bytes name,
                       uint64_t epoch)
{
    const struct site *site = cluster_find_site(cluster, address);
    struct site_report *report = find_report(cluster, site, name, epoch);
    if (report) {
        report->opened = epoch;
        cluster->is_settled = false;
    }
}

void cluster_on_missing(struct cluster *cluster, const struct address *address, struct bytes name,
                        uint64_t epoch)
{
    struct site *site = find_site(cluster->sites, cluster->site_count, address);
    struct site_report *report = find_report(cluster, site, name, epoch);
    if (report) {
        struct site_entries entries = entries_of(cluster);
        report->missing = epoch;
        site_judge(site, &entries);
    }
}

struct counting {
    struct cluster *cluster;
    const struct site *site;
    uint64_t round_ms; /* 0: not of a round */
};

/* A shorter time makes no rate. */
#define LOAD_OVER_MS_MIN 1000

/* A server that was started again counts from 0: what was known stays until it has told twice. */
static void take_load(struct site_report *report, uint64_t operations, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - report->operations_ms;
    bool has_first = report->operations_ms != 0 && operations >= report->operations;
    if (has_first && passed_ms < LOAD_OVER_MS_MIN) {
        return;
    }
    if (has_first) {
        report->load = (operations - report->operations) * 1000 / passed_ms;
        report->is_load_known = true;
    }
    report->operations = operations;
    report->operations_ms = now_ms;
}

/* Those that the server has by the present map. */
static void take_count(void *context, const struct shard_numbers *numbers)
{
    const struct counting *counting = context;
    const struct map *map = &counting->cluster->present.map;
    const struct map_entry *entry = map_find(map, point_of_bound(numbers->start));
    if (entry && entry->start == numbers->start && entry->end == numbers->end &&
        entry->epoch == numbers->epoch &&
        memcmp(entry->server, counting->site->hello.server, ID_LEN) == 0) {
        struct site_report *report = &counting->cluster->reports[entry - map->entries];
        report->counted = numbers->epoch;
        report->records = numbers->records;
        report->bytes = numbers->bytes;
        if (numbers->has_operations && counting->round_ms != 0) {
            take_load(report, numbers->operations, counting->round_ms);
        }
    }
}

bool cluster_on_stat(struct cluster *cluster, const struct address *address, uint64_t round_ms,
                     struct bytes result)
{
    struct site *site = find_site(cluster->sites, cluster->site_count, address);
    struct counting counting = {cluster, site, round_ms};
    return !site || site->contact != CONTACT_HELLO ||
           numbers_unpack(result, &site->numbers, take_count, &counting);
}

bool cluster_count(const struct cluster *cluster, const struct map_entry *entry, bool is_exact,
                   uint64_t *records, uint64_t *bytes)
{
    const struct site_report *report = &cluster->reports[entry - cluster->present.map.entries];
    if (report->counted == 0 || (is_exact && report->counted != entry->epoch)) {
        return false;
    }
    *records = report->records;
    *bytes = report->bytes;
    return true;
}

bool cluster_load(const struct cluster *cluster, const struct map_entry *entry, uint64_t *load)
{
    const struct site_report *report = &cluster->reports[entry - cluster->present.map.entries];
    if (!report->is_load_known) {
        return false;
    }
    *load = report->load;
    return true;
}

/* --- what follows --- */

static void bind_entry(struct plan *plan, struct map_entry *entry, const struct site *site)
{
    struct text line = {{0}};
    memcpy(entry->server, site->hello.server, ID_LEN);
    plan_touch(plan, entry);
    text_set(&line, "shard %s: bound to server ", entry->name);
    text_add_id(&line, entry->server);
    text_add(&line, " at ");
    text_add_address(&line, &site->address);
    plan_say(plan, &line);
}

static void say_added(struct plan *plan, const struct map_server *server)
{
    struct text line;
    text_set(&line, "server ");
    text_add_id(&line, server->id);
    text_add(&line, " at ");
    text_add_address(&line, &server->address);
    text_add(&line, ": added");
    plan_say(plan, &line);
}

/* Its incarnation, also when some of its data is missing; then the entries that nobody has yet. */
static void plan_site(const struct cluster *cluster, const struct site *site, struct plan *plan)
{
    struct map *next = &plan->next.map;
    const struct map_server *known = map_find_server(next, site->hello.server);
    bool is_up = site->state == SITE_UP;
    /* Judged by the present map both of two addresses may be up: the first one gets the server. */
    bool is_guest = cluster->has_guest && address_equal(&cluster->guest, &site->address);
    if (known ? !address_equal(&known->address, &site->address)
              : !is_up || (site->entry_count == 0 && !is_guest)) {
        return;
    }
    struct map_server server = {.address = site->address,
                                .incarnation = site->hello.incarnation,
                                .start = site->hello.start,
                                .capacity = is_guest ? cluster->guest_capacity : 0};
    memcpy(server.id, site->hello.server, ID_LEN);
    plan_set_server(plan, &server);
    if (!known && site->entry_count == 0) {
        say_added(plan, &server);
    }
    for (uint32_t i = 0; i < site->entry_count; i++) {
        struct map_entry *entry = &next->entries[cluster->order[site->first + i]];
        if (is_up && id_bytes_is_zero(entry->server)) {
            bind_entry(plan, entry, site);
        }
    }
}

static void strike_new(const struct cluster *cluster, struct plan *plan)
{
    struct map *next = &plan->next.map;
    for (uint32_t i = 0; i < next->entry_count; i++) {
        struct map_entry *entry = &next->entries[i];
        if (entry->is_new && cluster->reports[i].opened == entry->epoch) {
            struct text line = {{0}};
            entry->is_new = false;
            plan_touch(plan, entry);
            text_set(&line, "shard %s: open", entry->name);
            plan_say(plan, &line);
        }
    }
}

static bool is_all_open(const struct map *map)
{
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (map->entries[i].is_new || id_bytes_is_zero(map->entries[i].server)) {
            return false;
        }
    }
    return true;
}

bool cluster_next(struct cluster *cluster, struct plan *plan)
{
    if (cluster->is_settled || !text_is_empty(&cluster->behind)) {
        return false;
    }
    plan_begin(plan, &cluster->present);
    for (uint32_t i = 0; i < cluster->site_count; i++) {
        const struct site *site = &cluster->sites[i];
        if (site->is_accepted) {
            plan_site(cluster, site, plan);
        }
    }
    strike_new(cluster, plan);
    if (!plan->next.is_founded && is_all_open(&plan->next.map)) {
        struct text line = {{0}};
        text_set(&line, "founded: every shard is open");
        plan->next.is_founded = true;
        plan_touch_map(plan);
        plan_say(plan, &line);
    }
    cluster->is_settled = !plan->is_changed;
    if (cluster->is_settled) {
        plan_fini(plan);
    }
    return !cluster->is_settled;
}

/* What was said of an entry stays with its start; where that is the start of another one, epochs tell. */
static void carry_reports(struct cluster *cluster, const struct map *next)
{
    const struct map *old = &cluster->present.map;
    struct site_report *reports = memory_get(next->entry_count, sizeof(*reports));
    uint32_t at = 0;
    for (uint32_t i = 0; i < next->entry_count; i++) {
        while (at < old->entry_count && old->entries[at].start < next->entries[i].start) {
            at++;
        }
        if (at < old->entry_count && old->entries[at].start == next->entries[i].start) {
            reports[i] = cluster->reports[at];
            if (old->entries[at].end != next->entries[i].end) {
                reports[i].counted = 0;
                reports[i].is_load_known = false;
                reports[i].operations_ms = 0;
            }
            if (memcmp(old->entries[at].server, next->entries[i].server, ID_LEN) != 0) {
                reports[i].operations_ms = 0; /* another one counts */
            }
        }
    }
    free(cluster->reports);
    cluster->reports = reports;
}

void cluster_adopt(struct cluster *cluster, struct plan *plan)
{
    carry_reports(cluster, &plan->next.map);
    ledger_fini(&cluster->present);
    cluster->present = plan->next;
    plan->next = (struct ledger){0};
    cluster->is_settled = false;
    if (plan->is_recovery) {
        text_clear(&cluster->behind);
        cluster->seen_revision = 0;
        cluster->seen_term = 0;
    }
    gather_sites(cluster);
    judge_all(cluster);
}

bool cluster_may_push(const struct cluster *cluster, const struct site *site)
{
    struct site_entries entries = entries_of(cluster);
    bool is_member = memcmp(site->hello.cluster, cluster->present.map.cluster, ID_LEN) == 0 ||
                     map_find_server(&cluster->present.map, site->hello.server);
    return site->is_accepted && (is_member || site_is_bound(site, &entries));
}

bool cluster_is_missing(const struct cluster *cluster, const struct map_entry *entry)
{
    return cluster->reports[entry - cluster->present.map.entries].missing == entry->epoch;
}

bool cluster_awaits_open(const struct cluster *cluster, const struct site *site)
{
    struct site_entries entries = entries_of(cluster);
    for (uint32_t i = 0; i < site->entry_count; i++) {
        const struct map_entry *entry = site_entry(site, &entries, i);
        if (entry->is_new && memcmp(entry->server, site->hello.server, ID_LEN) == 0) {
            return true;
        }
    }
    return false;
}

void cluster_expected_server(const struct cluster *cluster, const struct site *site,
                             uint8_t server[ID_LEN])
{
    const struct map *map = &cluster->present.map;
    memset(server, 0, ID_LEN);
    /* The last one: after a reset of some of its shards an address has two, the newer behind. */
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (address_equal(&map->servers[i].address, &site->address)) {
            memcpy(server, map->servers[i].id, ID_LEN);
        }
    }
}

const struct site *cluster_take_news(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->site_count; i++) {
        struct site *site = &cluster->sites[i];
        if (site->is_unsaid) {
            site->is_unsaid = false;
            return site;
        }
    }
    return NULL;
}

const struct text *cluster_behind(const struct cluster *cluster)
{
    return &cluster->behind;
}

uint64_t cluster_seen_revision(const struct cluster *cluster)
{
    return cluster->seen_revision;
}

uint64_t cluster_seen_term(const struct cluster *cluster)
{
    return cluster->seen_term;
}

void cluster_say_founding(const struct cluster *cluster, struct text *text)
{
    struct site_entries entries = entries_of(cluster);
    text_clear(text);
    if (cluster->present.is_founded) {
        return;
    }
    text_set(text, "the cluster is being founded; waiting for ");
    const char *separator = "";
    for (uint32_t i = 0; i < cluster->site_count; i++) {
        const struct site *site = &cluster->sites[i];
        bool is_waited_for = false;
        for (uint32_t j = 0; j < site->entry_count; j++) {
            const struct map_entry *entry = site_entry(site, &entries, j);
            is_waited_for |= entry->is_new || id_bytes_is_zero(entry->server);
        }
        if (is_waited_for) {
            text_add(text, "%s", separator);
            text_add_address(text, &site->address);
            text_add(text, " (%s)", site_state_text(site->state));
            separator = ", ";
        }
    }
}
