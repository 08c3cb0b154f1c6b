#include "tools/zdb_workers.hpp"

#include <fmt/format.h>

#include <thread>

#include "tools/terminal.hpp"

namespace zerodb::tools {

namespace {

constexpr std::size_t threads_max = 8;
constexpr std::uint32_t entries_at_once = 500;

}  // namespace

bool for_each_at_once(Session& session, std::size_t count,
                      const std::function<void(BusClient&, std::size_t)>& work) {
  auto first = session.connect();
  if (!first) return false;
  std::atomic<std::size_t> next{0};
  const auto run = [&](BusClient& client) {
    for (auto i = next++; i < count && !session.node_lost(); i = next++)
      work(client, i);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min(threads_max, count); ++i) {
    threads.emplace_back([&] {
      auto client = session.dial();
      if (client) run(*client);
    });
  }
  run(*first);
  for (auto& thread : threads)
    thread.join();
  return true;
}

std::optional<std::vector<client::List::Entry>> list_all(Session& session, BusClient& client,
                                                         const std::string& prefix) {
  std::vector<client::List::Entry> all;
  for (bool more = true; more;) {
    auto page = client.list(prefix, all.empty() ? std::string() : all.back().key, entries_at_once);
    if (!page) {
      session.failed(prefix, page.error(), client);
      return {};
    }
    more = page->more && !page->entries.empty();
    std::move(page->entries.begin(), page->entries.end(), std::back_inserter(all));
  }
  return all;
}

std::optional<std::vector<client::List::Entry>> list_some(Session& session, BusClient& client,
                                                          const std::string& prefix) {
  auto entries = list_all(session, client, prefix);
  if (!entries || !entries->empty()) return entries;
  session.failed(prefix, "there is no object under this prefix", ExitCode::not_found);
  return {};
}

std::string Tally::text(const std::string& what, double seconds) const {
  const auto bytes = bytes_.load();
  const auto rate = seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0;
  return fmt::format("{} {}{}, {} in {:.1f} s ({}/s)", done_.load(), what, done_ == 1 ? "" : "s",
                     format_bytes(bytes), seconds, format_bytes(static_cast<std::uint64_t>(rate)));
}

}  // namespace zerodb::tools
