#include "node/data_folder.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <system_error>

#include "bus/client_socket_path.hpp"
#include "node/client_keys.hpp"
#include "node/host_port.hpp"
#include "store/fields.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view format_word = "zerodb ";
constexpr unsigned format_known = 1;
constexpr std::size_t file_bytes_max = 4 << 20;
constexpr std::size_t older_bytes_max = 32 << 20;

std::string quoted(const fs::path& path) {
  return "'" + printable(path.string()) + "'";
}

Error error_of(const std::error_code& error, std::string_view doing, const fs::path& path) {
  const bool full = error == std::errc::no_space_on_device ||
                    error == std::error_code(EDQUOT, std::generic_category());
  return {full ? Errc::full : Errc::io,
          "cannot " + std::string(doing) + " " + quoted(path) + ": " + error.message()};
}

std::error_code last_error() {
  return {errno, std::generic_category()};
}

/// Where the socket will be decides how long a path may be.
Status check_path_length(const fs::path& path) {
  auto socket = client_socket_path(path);
  return socket ? Status{} : fail(std::move(socket.error()));
}

struct FileList {
  std::vector<Bytes> items;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("items", self.items);
  }
};

struct OlderFile {
  std::vector<Bytes> items;
  std::optional<std::uint64_t> over_before;  // absent in folders of before it was kept

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("items", self.items);
    field("over_before", self.over_before);
  }
};

/// Nothing if there is no such file. What cannot be read for now is not taken for that, as the next
/// that is written would replace it for good.
Result<Bytes> read_if_there(const fs::path& path, std::size_t bytes_max) {
  auto content = read_secret_file(path, bytes_max);
  if (!content && content.error().code == Errc::not_found) return Bytes{};
  return content;
}

/// Empty if there is no such file; `corrupt` if it is damaged.
template <class Content>
Result<Content> load_content(const fs::path& path, const fields::Limits& limits) {
  const auto file = read_if_there(path, limits.bytes);
  if (!file) return fail(file.error());
  if (file->empty()) return Content{};
  auto content = fields::decode<Content>(*file, limits);
  if (!content) return fail(Errc::corrupt, std::move(content.error().what));
  return content;
}

Error damaged(const fs::path& path, const Error& error) {
  return {Errc::corrupt, quoted(path) + " is damaged (" + error.what +
                             "): copy the file from another node of the mesh"};
}

/// Without it a node would not look where objects may still be, and say that there are none.
Result<OlderFile> load_older(const fs::path& path) {
  auto older = load_content<OlderFile>(
      path, {.bytes = older_bytes_max, .array = members_max, .binary = file_bytes_max});
  if (older || older.error().code != Errc::corrupt) return older;
  return fail(damaged(path, older.error()));
}

// ------------------------------------------------------------------------------ what a folder is

Result<bool> has_format(const fs::path& path) {
  std::error_code error;
  const bool has = fs::exists(path / "format", error);
  if (error) return fail(error_of(error, "look into", path));
  return has;
}

Error not_a_data_folder(const fs::path& path, std::string_view why) {
  return {Errc::invalid, quoted(path) + " " + std::string(why) +
                             ": make a node there with zerodb-node init or zerodb-node join"};
}

/// The number in `text`, "zerodb N\n".
std::optional<unsigned> format_number(std::string_view text) {
  if (!text.starts_with(format_word) || !text.ends_with('\n')) return std::nullopt;
  const auto digits = text.substr(format_word.size(), text.size() - format_word.size() - 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

Status check_format(const fs::path& path) {
  auto content = read_secret_file(path / "format", 64);
  if (!content) return fail(std::move(content.error()));
  const auto number = format_number(as_text(*content));
  if (!number || *number == 0) {
    return fail(Errc::corrupt, quoted(path / "format") +
                                   " does not say a format: restore it, it reads 'zerodb 1'");
  }
  if (*number > format_known) {
    return fail(Errc::invalid, quoted(path) + " is of format " + std::to_string(*number) +
                                   ", newer than this program knows (" +
                                   std::to_string(format_known) + "): install a newer zerodb");
  }
  return {};
}

Status check_is_private(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return fail(error_of(last_error(), "examine", path));
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  return fail(Errc::denied, quoted(path) + " is open to other users: run `chmod 700 " +
                                printable(path.string()) + "`");
}

Status check_is_data_folder(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) {
    if (error && error != std::errc::no_such_file_or_directory) {
      return fail(error_of(error, "open", path));
    }
    return fail(not_a_data_folder(path, "does not exist"));
  }
  if (!fs::is_directory(status)) return fail(not_a_data_folder(path, "is not a folder"));
  const auto marked = has_format(path);
  if (!marked) return fail(marked.error());
  if (!*marked) return fail(not_a_data_folder(path, "is not a zerodb data folder"));
  if (auto entered = check_is_private(path); !entered) return entered;
  return check_format(path);
}

/// A path that does not depend on where we are, without a slash at its end.
fs::path whole_path(const fs::path& path) {
  std::error_code ignored;
  const auto whole = fs::absolute(path, ignored);
  return whole.has_filename() ? whole : whole.parent_path();
}

/// `busy`, naming the process that has the folder open.
Result<FolderLock> lock_folder(const fs::path& folder) {
  const auto path = folder / "LOCK";
  auto lock = FolderLock::take(path);
  if (!lock && lock.error().code == Errc::busy) {
    std::ifstream holder(path);
    std::string pid;
    holder >> pid;
    return fail(Errc::busy, quoted(folder) + " is in use by another zerodb-node (process " +
                                printable(pid) + "): stop that one first");
  }
  // For people who wonder who holds it; the lock does not depend on it.
  if (lock) std::ofstream(path) << ::getpid() << '\n';
  return lock;
}

}  // namespace

// ------------------------------------------------------------------------------------ small files

Result<DataFolder> DataFolder::open(const fs::path& given) {
  const auto path = whole_path(given);
  if (auto checked = check_is_data_folder(path); !checked) return fail(std::move(checked.error()));
  if (auto checked = check_path_length(path); !checked) return fail(std::move(checked.error()));
  auto lock = lock_folder(path);
  if (!lock) return fail(std::move(lock.error()));
  return DataFolder(path, std::move(*lock));
}

Status DataFolder::save_roster(const SignedRoster& roster) const {
  return write_secret_file(path_ / "roster", roster.wire(), {.replace = true});
}

Result<SignedRoster> DataFolder::load_roster() const {
  const auto path = path_ / "roster";
  auto wire = read_secret_file(path, file_bytes_max);
  if (!wire) return fail(std::move(wire.error()));
  auto roster = SignedRoster::verify(*wire, MeshId{});
  if (roster) return roster;
  return fail(damaged(path, roster.error()));
}

Status DataFolder::save_older_rosters(const std::vector<SignedRoster>& rosters,
                                      std::uint64_t over_before) const {
  OlderFile older{.over_before = over_before};
  for (const auto& roster : rosters)
    older.items.push_back(roster.wire());
  return write_secret_file(older_rosters(), fields::encode(older), {.replace = true});
}

Result<OlderRosters> DataFolder::load_older_rosters(const MeshId& mesh) const {
  const auto path = older_rosters();
  const auto file = load_older(path);
  if (!file) return fail(file.error());
  OlderRosters older{.over_before = file->over_before.value_or(0)};
  for (const auto& wire : file->items) {
    auto roster = SignedRoster::verify(wire, mesh);
    if (!roster) return fail(damaged(path, roster.error()));
    older.rosters.push_back(std::move(*roster));
  }
  return older;
}

Status DataFolder::save_settled_roster(const SignedRoster& roster) const {
  // The store makes its folder when it is first opened; a new node is settled before that.
  if (::mkdir(store().c_str(), 0700) == 0) {
    if (auto synced = sync_folder(path_); !synced) return synced;
  } else if (errno != EEXIST) {
    return fail(error_of(last_error(), "make the folder", store()));
  }
  return write_secret_file(settled_roster(), roster.wire(), {.replace = true});
}

Status DataFolder::forget_settled_roster() const {
  std::error_code error;
  const bool was_there = fs::remove(settled_roster(), error);
  if (error) return fail(error_of(error, "remove", settled_roster()));
  return was_there ? sync_folder(store()) : Status();
}

void DataFolder::save_scrub(const std::string& state) const {
  static_cast<void>(write_secret_file(store() / "scrub", as_bytes(state), {.replace = true}));
}

std::string DataFolder::load_scrub() const {
  const auto state = read_secret_file(store() / "scrub", file_bytes_max);
  return state ? std::string(as_text(*state)) : std::string();
}

std::optional<SignedRoster> DataFolder::load_settled_roster(const MeshId& mesh) const {
  const auto wire = read_secret_file(settled_roster(), file_bytes_max);
  if (!wire && wire.error().code == Errc::not_found) return std::nullopt;
  auto roster = wire ? SignedRoster::verify(*wire, mesh) : fail(Error(wire.error()));
  if (roster) return std::move(*roster);
  spdlog::warn("{} is left out: {}", settled_roster().string(), roster.error().what);
  return std::nullopt;
}

Status DataFolder::save_records(const std::vector<Bytes>& records) const {
  return write_secret_file(path_ / "records", fields::encode(FileList{records}), {.replace = true});
}

Result<std::vector<Bytes>> DataFolder::load_records() const {
  const auto path = path_ / "records";
  auto list = load_content<FileList>(path, {.bytes = file_bytes_max, .array = members_max});
  if (list) return std::move(list->items);
  if (list.error().code != Errc::corrupt) return fail(std::move(list.error()));
  spdlog::warn("{} is left out: {}", path.string(), list.error().what);
  return std::vector<Bytes>();
}

Status DataFolder::save_followers(const OwnerId& owner, ByteView sealed) const {
  return write_secret_file(path_ / ("followers." + owner.hex()), sealed, {.replace = true});
}

Result<Bytes> DataFolder::load_followers(const OwnerId& owner) const {
  return read_secret_file(path_ / ("followers." + owner.hex()), file_bytes_max);
}

Status DataFolder::save_clients(ByteView clients) const {
  return write_secret_file(path_ / "clients", clients, {.replace = true});
}

Result<Bytes> DataFolder::load_clients() const {
  return read_if_there(path_ / "clients", client_keys_bytes_max);
}

void DataFolder::save_client_endpoint(const std::string& endpoint) const {
  static_cast<void>(
      write_secret_file(path_ / "client.endpoint", as_bytes(endpoint), {.replace = true}));
}

std::string DataFolder::load_client_endpoint() const {
  const auto endpoint = read_secret_file(path_ / "client.endpoint", endpoint_bytes_max);
  return endpoint ? std::string(as_text(*endpoint)) : std::string();
}

Status DataFolder::save_invites(ByteView invites) const {
  return write_secret_file(path_ / "invites", invites, {.replace = true});
}

Result<Bytes> DataFolder::load_invites() const {
  return read_if_there(path_ / "invites", file_bytes_max);
}

// ----------------------------------------------------------------------------------- a new folder

namespace {

/// The folder may be a disk of its own, which is born with this in it.
bool is_of_the_disk(const fs::directory_entry& entry) {
  return entry.path().filename() == "lost+found";
}

bool holds_nothing(const fs::path& folder, std::error_code& error) {
  const fs::directory_iterator inside(folder, error);
  return !error && std::all_of(fs::begin(inside), fs::end(inside), is_of_the_disk);
}

}  // namespace

Status NewDataFolder::check(const fs::path& given) {
  const auto path = whole_path(given);
  if (auto checked = check_path_length(path); !checked) return checked;
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return {};
  if (error) return fail(error_of(error, "examine", path));
  if (!fs::is_directory(status)) return fail(Errc::invalid, quoted(path) + " is not a folder");
  const auto marked = has_format(path);
  if (!marked) return fail(marked.error());
  if (*marked) {
    return fail(Errc::invalid, quoted(path) +
                                   " is a zerodb data folder already: start its node with "
                                   "zerodb-node run, or choose another folder");
  }
  const bool empty = holds_nothing(path, error);
  if (error) return fail(error_of(error, "read", path));
  if (empty) return {};
  return fail(Errc::invalid,
              quoted(path) + " is not empty: choose a folder that is, or does not exist yet");
}

Result<NewDataFolder> NewDataFolder::begin(const fs::path& given) {
  const auto path = whole_path(given);
  if (auto checked = check(path); !checked) return fail(std::move(checked.error()));
  NewDataFolder made;
  std::vector<fs::path> missing;
  std::error_code error;
  for (auto at = path; !fs::exists(at, error) && at != at.parent_path(); at = at.parent_path()) {
    missing.push_back(at);
  }
  for (auto next = missing.rbegin(); next != missing.rend(); ++next) {
    if (::mkdir(next->c_str(), *next == path ? 0700 : 0777) != 0) {
      return fail(error_of(last_error(), "make the folder", *next));
    }
    made.made_.push_back(*next);
  }
  if (::chmod(path.c_str(), 0700) != 0) {
    return fail(error_of(last_error(), "keep other users out of", path));
  }
  auto lock = lock_folder(path);
  if (!lock) return fail(std::move(lock.error()));
  made.folder_.reset(new DataFolder(path, std::move(*lock)));
  return made;
}

NewDataFolder::~NewDataFolder() {
  std::error_code ignored;
  if (folder_) {  // all else that is in it was put there since begin()
    std::vector<fs::path> inside;
    for (const auto& entry : fs::directory_iterator(folder_->path(), ignored)) {
      if (!is_of_the_disk(entry)) inside.push_back(entry.path());
    }
    for (const auto& entry : inside)
      fs::remove_all(entry, ignored);
  }
  for (auto next = made_.rbegin(); next != made_.rend(); ++next)
    fs::remove(*next, ignored);
}

Status NewDataFolder::finish() {
  const auto& path = folder_->path();
  const auto text = std::string(format_word) + std::to_string(format_known) + "\n";
  if (auto written = write_secret_file(path / "format", as_bytes(text)); !written) return written;
  for (const auto& folder : made_) {
    if (auto synced = sync_folder(folder.parent_path()); !synced) return synced;
  }
  made_.clear();
  folder_.reset();
  return {};
}

}  // namespace zerodb
