/* A zerodb client in C99 on plain libzmq, written from bus/PROTOCOL.md alone. The little msgpack it
 * needs is packed and read by hand; one request is under way at a time.
 *
 *     client FOLDER put KEY [if_absent] < content
 *     client FOLDER get KEY > content
 *     client FOLDER list [PREFIX]
 *     client FOLDER delete KEY
 *     client FOLDER follow PREFIX --durable NAME [--count N]
 *
 * FOLDER is the node's data folder. Exit codes as zdb's: 3 not found, 8 conflict, 1 the rest. What
 * `follow` prints, client.py says.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { small_bytes = 65536, chunk_bytes_max = 1 << 20, header_bytes_max = 1 << 20 };
enum { ask_every_ms = 1000 }; /* for events, also when nothing was heard */

static void die(const char* why) {
  fprintf(stderr, "client: %s\n", why);
  exit(1);
}

/* ------------------------------------------------------------------------- msgpack, written */

typedef struct {
  unsigned char bytes[4096];
  size_t size;
} Header;

static void put_byte(Header* to, unsigned byte) {
  if (to->size == sizeof to->bytes) die("a header that is too long");
  to->bytes[to->size++] = (unsigned char)byte;
}

static void put_big_endian(Header* to, uint64_t value, int bytes) {
  while (bytes-- > 0) put_byte(to, (unsigned)(value >> 8 * bytes) & 0xff);
}

static void put_string(Header* to, const char* text) {
  const size_t length = strlen(text);
  put_byte(to, 0xda); /* str 16 holds every key */
  put_big_endian(to, length, 2);
  for (size_t i = 0; i < length; ++i) put_byte(to, (unsigned char)text[i]);
}

/* Any integer may have 64 bits, also where fewer would do. */
static void put_integer(Header* to, const char* name, uint64_t value) {
  put_string(to, name);
  put_byte(to, 0xcf);
  put_big_endian(to, value, 8);
}

static void put_text(Header* to, const char* name, const char* value) {
  put_string(to, name);
  put_string(to, value);
}

static uint64_t id; /* of the latest request */

/* Begins the header of a request that has `fields` fields of its own. */
static Header request(const char* name, unsigned fields) {
  Header header = {.size = 0};
  put_byte(&header, 0x80 + 3 + fields);
  put_integer(&header, "v", 1);
  put_text(&header, "t", name);
  put_integer(&header, "id", ++id);
  return header;
}

/* ---------------------------------------------------------------------------- msgpack, read */

/* One value: an integer or a boolean, the bytes of a string, or how many values follow inside. */
typedef struct {
  enum { OTHER, INTEGER, STRING, ARRAY, MAP } type;
  uint64_t number; /* or length, or count */
  const unsigned char* bytes;
} Value;

typedef struct {
  const unsigned char* at;
  const unsigned char* end;
} Reader;

static uint64_t take(Reader* from, size_t bytes) {
  uint64_t value = 0;
  if ((size_t)(from->end - from->at) < bytes) die("a reply that was cut short");
  while (bytes-- > 0) value = value << 8 | *from->at++;
  return value;
}

static Value take_string(Reader* from, uint64_t length) {
  const Value value = {STRING, length, from->at};
  if ((uint64_t)(from->end - from->at) < length) die("a reply that was cut short");
  from->at += length;
  return value;
}

static Value next(Reader* from) {
  const unsigned tag = (unsigned)take(from, 1);
  if (tag < 0x80) return (Value){INTEGER, tag, NULL};
  if (tag < 0x90) return (Value){MAP, tag & 15, NULL};
  if (tag < 0xa0) return (Value){ARRAY, tag & 15, NULL};
  if (tag < 0xc0) return take_string(from, tag & 31);
  if (tag == 0xc2 || tag == 0xc3) return (Value){INTEGER, tag & 1, NULL};
  if (tag >= 0xc4 && tag <= 0xc6) return take_string(from, take(from, 1U << (tag - 0xc4)));
  if (tag >= 0xcc && tag <= 0xcf) return (Value){INTEGER, take(from, 1U << (tag - 0xcc)), NULL};
  if (tag >= 0xd0 && tag <= 0xd3) return (Value){INTEGER, take(from, 1U << (tag - 0xd0)), NULL};
  if (tag >= 0xd9 && tag <= 0xdb) return take_string(from, take(from, 1U << (tag - 0xd9)));
  if (tag == 0xdc || tag == 0xdd) return (Value){ARRAY, take(from, 2U << (tag - 0xdc)), NULL};
  if (tag == 0xde || tag == 0xdf) return (Value){MAP, take(from, 2U << (tag - 0xde)), NULL};
  if (tag >= 0xe0) return (Value){INTEGER, (uint64_t)(int8_t)tag, NULL};
  if (tag == 0xca || tag == 0xcb) take(from, 4U << (tag - 0xca)); /* a float */
  else if (tag != 0xc0) die("a reply with a value this client cannot read");
  return (Value){OTHER, 0, NULL};
}

static void skip(Reader* from) {
  const Value value = next(from);
  if (value.type != ARRAY && value.type != MAP) return;
  for (uint64_t left = value.number * (value.type == MAP ? 2 : 1); left > 0; --left) skip(from);
}

/* Where the value of `name` begins in the map at `map`, and in `*value` its head; type OTHER if there
 * is no such field. Leaves `map` behind the map. */
static Reader find(Reader* map, const char* name, Value* value) {
  Reader found = *map;
  const Value head = next(map);
  *value = (Value){OTHER, 0, NULL};
  if (head.type != MAP) die("a reply that is no map");
  for (uint64_t i = 0; i < head.number; ++i) {
    const Value key = next(map);
    if (key.type == STRING && key.number == strlen(name) && !memcmp(key.bytes, name, key.number)) {
      found = *map;
      *value = next(&found);
    }
    skip(map);
  }
  return found;
}

/* ---------------------------------------------------------------------------------- requests */

static void* node;
static unsigned char reply[header_bytes_max]; /* the latest reply's header */
static size_t reply_size;
static unsigned char payload[chunk_bytes_max]; /* and its payload */
static size_t payload_size;

static Value field(const char* name) {
  Reader map = {reply, reply + reply_size};
  Value value;
  find(&map, name, &value);
  return value;
}

static uint64_t integer(const char* name) {
  const Value value = field(name);
  if (value.type != INTEGER) die("a reply without a field it should have");
  return value.number;
}

static int is_text(Value value, const char* text) {
  return value.type == STRING && value.number == strlen(text) &&
         !memcmp(value.bytes, text, value.number);
}

/* The next frame. 0 if nothing comes. */
static int receive(void* to, size_t size_max, size_t* size) {
  const int got = zmq_recv(node, to, size_max, 0);
  if (got >= 0 && (size_t)got > size_max) die("a reply that is too long");
  *size = got < 0 ? 0 : (size_t)got;
  return got >= 0;
}

/* Sends the latest request and waits for its reply. 0 if there is none. */
static int try_ask(const Header* header, const void* bytes, size_t size) {
  if (zmq_send(node, header->bytes, header->size, ZMQ_SNDMORE) < 0 ||
      zmq_send(node, bytes, size, 0) < 0) {
    return 0;
  }
  do {
    if (!receive(reply, sizeof reply, &reply_size)) return 0;
    if (!receive(payload, sizeof payload, &payload_size)) return 0;
  } while (integer("id") != id); /* others come too late */
  return 1;
}

static int patient; /* a node that is away, or busy, is waited for */

static int is_passing(Value code) {
  return is_text(code, "busy") || is_text(code, "timeout") || is_text(code, "no_quorum");
}

/* Sends a request and waits for its reply; an error reply ends the program. */
static void ask(const Header* header, const void* bytes, size_t size) {
  for (int waiting = 0; ; waiting = 1) {
    const int answered = try_ask(header, bytes, size);
    if (answered && !is_text(field("t"), "error")) return;
    if (!patient || (answered && !is_passing(field("code")))) {
      if (answered) break;
      die("the node does not answer");
    }
    if (!waiting) fprintf(stderr, "the node does not answer; waiting for it\n");
    zmq_poll(NULL, 0, 100);
  }
  const Value code = field("code");
  const Value what = field("what");
  fprintf(stderr, "%.*s: %.*s\n", (int)code.number, (const char*)code.bytes, (int)what.number,
          (const char*)what.bytes);
  exit(is_text(code, "not_found") ? 3 : is_text(code, "conflict") ? 8 : 1);
}

static void put(const char* key, const char* condition) {
  static unsigned char chunk[chunk_bytes_max];
  size_t size = fread(chunk, 1, sizeof chunk, stdin);
  const int whole = size <= small_bytes;
  Header header = request("put", 1U + (whole ? 1U : 0U) + (condition ? 1U : 0U));
  put_text(&header, "key", key);
  if (whole) put_integer(&header, "size", size);
  if (condition) {
    put_string(&header, condition);
    put_byte(&header, 0xc3); /* true */
  }
  ask(&header, chunk, whole ? size : 0);
  if (whole) return;
  const uint64_t upload = integer("upload");
  if (integer("chunk_bytes") != sizeof chunk) die("the node wants chunks of another size");
  uint64_t offset = 0;
  /* One chunk at a time needs no look at the credit. */
  for (; size > 0; size = fread(chunk, 1, sizeof chunk, stdin)) {
    header = request("put_data", 2);
    put_integer(&header, "upload", upload);
    put_integer(&header, "offset", offset);
    ask(&header, chunk, size);
    offset += size;
  }
  if (ferror(stdin)) die("what was to be put cannot be read"); /* the node drops the upload */
  header = request("put_end", 2);
  put_integer(&header, "upload", upload);
  put_integer(&header, "size", offset);
  ask(&header, NULL, 0);
}

static void write_payload(void) {
  if (fwrite(payload, 1, payload_size, stdout) != payload_size) die("cannot write");
}

static void get(const char* key) {
  Header header = request("get", 1);
  put_text(&header, "key", key);
  ask(&header, NULL, 0);
  write_payload();
  if (field("download").type != INTEGER) return;
  const uint64_t download = integer("download");
  const uint64_t length = integer("length");
  const uint64_t step = integer("chunk_bytes");
  for (uint64_t offset = 0; offset < length; offset += payload_size) {
    header = request("get_data", 3);
    put_integer(&header, "download", download);
    put_integer(&header, "offset", offset);
    put_integer(&header, "length", step);
    ask(&header, NULL, 0);
    if (payload_size == 0) die("the node sent nothing");
    write_payload();
  }
  header = request("get_end", 1);
  put_integer(&header, "download", download);
  ask(&header, NULL, 0);
}

/* Prints every entry whose key begins with `prefix`: its size, or `instead` of that. Answers how
 * many there are. */
static uint64_t list(const char* prefix, const char* instead) {
  uint64_t objects = 0;
  char after[1025] = "";
  do {
    Header header = request("list", 3);
    put_text(&header, "prefix", prefix);
    put_text(&header, "after", after);
    put_integer(&header, "limit", 500);
    ask(&header, NULL, 0);
    Reader map = {reply, reply + reply_size};
    Value entries;
    Reader entry = find(&map, "entries", &entries);
    for (uint64_t i = 0; i < entries.number; ++i) {
      Reader again = entry;
      Value size, key;
      find(&again, "size", &size);
      find(&entry, "key", &key);
      if (instead) printf("%s ", instead);
      else printf("%llu ", (unsigned long long)size.number);
      printf("%.*s\n", (int)key.number, (const char*)key.bytes);
      if (key.number >= sizeof after) die("a key that is too long");
      memcpy(after, key.bytes, key.number);
      after[key.number] = 0;
    }
    objects += entries.number;
  } while (integer("more"));
  return objects;
}

static void delete_key(const char* key) {
  Header header = request("delete", 1);
  put_text(&header, "key", key);
  ask(&header, NULL, 0);
}

/* -------------------------------------------------------------------------------- following */

static void* wakes; /* a SUB: the publisher wakes, the log tells */

static void connect_wakes(void* context, const char* folder, const char* prefix) {
  static const char* const kinds[] = {"store", "delete"};
  char text[200]; /* longer subscriptions break in libzmq */
  wakes = zmq_socket(context, ZMQ_SUB);
  for (int i = 0; i < 2; ++i) {
    snprintf(text, sizeof text, "%s %s", kinds[i], prefix);
    zmq_setsockopt(wakes, ZMQ_SUBSCRIBE, text, strlen(text));
  }
  snprintf(text, sizeof text, "ipc://%s/events.sock", folder);
  if (zmq_connect(wakes, text) != 0) die("not an address");
}

/* Until something may have happened. */
static void wait_for_wakes(void) {
  zmq_pollitem_t item = {wakes, 0, ZMQ_POLLIN, 0};
  zmq_poll(&item, 1, ask_every_ms);
  char frame[1];
  while (zmq_recv(wakes, frame, sizeof frame, ZMQ_DONTWAIT) >= 0) {
  }
}

/* Prints all there is, in place of events that nobody can tell any more. */
static void resync(const char* prefix, int reset, uint64_t last) {
  char instead[40];
  printf("%llu resync %s\n", (unsigned long long)last, prefix);
  snprintf(instead, sizeof instead, "%llu listed", (unsigned long long)last);
  const uint64_t objects = list(prefix, instead);
  fprintf(stderr, "%s: listed the %llu objects there are, going on after event %llu\n",
          reset ? "the log is another one" : "the log does not go back so far",
          (unsigned long long)objects, (unsigned long long)last);
}

static void print_events(void) {
  Reader map = {reply, reply + reply_size};
  Value entries;
  Reader entry = find(&map, "entries", &entries);
  for (uint64_t i = 0; i < entries.number; ++i) {
    Reader for_sequence = entry, for_kind = entry;
    Value sequence, kind, key;
    find(&for_sequence, "sequence", &sequence);
    find(&for_kind, "kind", &kind);
    find(&entry, "key", &key);
    printf("%llu %.*s %.*s\n", (unsigned long long)sequence.number, (int)kind.number,
           (const char*)kind.bytes, (int)key.number, (const char*)key.bytes);
  }
}

/* Prints what is new, and only then acknowledges it; answers how many events there were. */
static uint64_t tell(const char* prefix, const char* durable, uint64_t limit) {
  Header header = request("events", 3);
  put_text(&header, "durable", durable);
  put_text(&header, "prefix", prefix);
  put_integer(&header, "limit", limit);
  ask(&header, NULL, 0);
  char epoch[65];
  const Value epoch_now = field("epoch");
  snprintf(epoch, sizeof epoch, "%.*s", (int)epoch_now.number, (const char*)epoch_now.bytes);
  const uint64_t told = field("entries").number;
  const uint64_t last = integer("next") - 1;
  if (integer("gap") || integer("reset")) resync(prefix, (int)integer("reset"), last);
  else print_events();
  if (fflush(stdout) != 0) die("cannot write");
  /* Also if there was nothing: past the events of other keys. */
  header = request("events_ack", 3);
  put_text(&header, "durable", durable);
  put_text(&header, "epoch", epoch);
  put_integer(&header, "sequence", last);
  ask(&header, NULL, 0);
  return told;
}

static void follow(void* context, int count, char** words) {
  const char *durable = NULL, *prefix = words[3];
  uint64_t left = UINT64_MAX;
  for (int i = 4; i + 1 < count; i += 2) {
    if (!strcmp(words[i], "--durable")) durable = words[i + 1];
    if (!strcmp(words[i], "--count")) left = strtoull(words[i + 1], NULL, 10);
  }
  if (!durable) die("use: client FOLDER follow PREFIX --durable NAME [--count N]");
  const int receive_ms = 5000;
  zmq_setsockopt(node, ZMQ_RCVTIMEO, &receive_ms, sizeof receive_ms);
  patient = 1;
  connect_wakes(context, words[1], prefix);
  while (left > 0) {
    const uint64_t told = tell(prefix, durable, left < 1000 ? left : 1000);
    left -= told;
    if (told == 0) wait_for_wakes();
  }
  zmq_close(wakes);
}

int main(int count, char** words) {
  if (count < 3) die("use: client FOLDER put|get|list|delete|follow [KEY]");
  const char* verb = words[2];
  const char* key = count > 3 ? words[3] : "";
  char endpoint[200];
  snprintf(endpoint, sizeof endpoint, "ipc://%s/client.sock", words[1]);
  const int nothing = 0, once_connected = 1, send_ms = 5000, receive_ms = 120000;
  void* context = zmq_ctx_new();
  node = zmq_socket(context, ZMQ_DEALER);
  zmq_setsockopt(node, ZMQ_LINGER, &nothing, sizeof nothing);
  zmq_setsockopt(node, ZMQ_IMMEDIATE, &once_connected, sizeof once_connected);
  zmq_setsockopt(node, ZMQ_SNDTIMEO, &send_ms, sizeof send_ms);
  zmq_setsockopt(node, ZMQ_RCVTIMEO, &receive_ms, sizeof receive_ms);
  if (zmq_connect(node, endpoint) != 0) die("not an address");
  if (!strcmp(verb, "put")) put(key, count > 4 ? words[4] : NULL);
  else if (!strcmp(verb, "get")) get(key);
  else if (!strcmp(verb, "list")) list(key, NULL);
  else if (!strcmp(verb, "delete")) delete_key(key);
  else if (!strcmp(verb, "follow") && count > 3) follow(context, count, words);
  else die("no such verb");
  if (fflush(stdout) != 0) die("cannot write");
  zmq_close(node);
  zmq_ctx_term(context);
  return 0;
}
