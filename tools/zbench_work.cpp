#include "tools/zbench_work.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "store/hash.hpp"
#include "tools/zbench_roofline.hpp"

namespace zerodb::bench {

namespace {

constexpr std::size_t pattern_bytes = std::size_t{1} << 20;

/// The same random bytes in every object: content costs nothing to make and can be compared.
const Bytes& pattern() {
  static const Bytes bytes = [] {
    Bytes made(pattern_bytes);
    fill_random(made);
    return made;
  }();
  return bytes;
}

ByteView pattern_at(std::uint64_t offset, std::uint64_t length) {
  const auto at = static_cast<std::size_t>(offset % pattern_bytes);
  return ByteView(pattern()).subspan(at, std::min<std::uint64_t>(length, pattern_bytes - at));
}

std::string key_of(std::uint64_t index) {
  return "bench/" + std::to_string(index);
}

Status put_one(BusClient& client, std::uint64_t index, std::uint64_t size) {
  std::uint64_t offset = 0;
  const ByteSource source = [&](MutableBytes to) -> Result<std::size_t> {
    const auto part = pattern_at(offset, std::min<std::uint64_t>(to.size(), size - offset));
    std::memcpy(to.data(), part.data(), part.size());
    offset += part.size();
    return part.size();
  };
  auto stored = client.put(key_of(index), source, {.size = size});
  if (!stored) return fail(std::move(stored.error()));
  return {};
}

Status get_one(BusClient& client, std::uint64_t index, std::uint64_t size) {
  std::uint64_t offset = 0;
  const ByteSink sink = [&](ByteView bytes) -> Status {
    while (!bytes.empty()) {
      const auto part = pattern_at(offset, bytes.size());
      if (std::memcmp(bytes.data(), part.data(), part.size()) != 0)
        return fail(Errc::corrupt, key_of(index) + ": came back different");
      offset += part.size();
      bytes = bytes.subspan(part.size());
    }
    return {};
  };
  auto got = client.get(key_of(index), sink);
  if (!got) return fail(std::move(got.error()));
  if (offset != size) return fail(Errc::corrupt, key_of(index) + ": came back short");
  return {};
}

bool is_writing(Workload workload) {
  return workload == Workload::put || workload == Workload::small_put ||
         workload == Workload::client_cost;
}

Status operate(Workload workload, BusClient& client, std::uint64_t index, std::uint64_t size) {
  if (is_writing(workload)) return put_one(client, index, size);
  if (workload == Workload::get || workload == Workload::small_get)
    return get_one(client, index, size);
  auto removed = client.remove(key_of(index));
  if (!removed) return fail(std::move(removed.error()));
  return {};
}

struct Timed {
  std::vector<double> latencies_ms;
  double wall_s = 0;
};

/// Shares the objects out to `concurrency` clients of one node.
Result<Timed> run_clients(Workload workload, const WorkOptions& options, BenchMesh& mesh,
                          std::size_t node) {
  using Clock = std::chrono::steady_clock;
  std::vector<BusClient> clients;
  for (unsigned i = 0; i < options.concurrency; ++i) {
    auto client = mesh.connect(node);
    if (!client) return fail(std::move(client.error()));
    clients.push_back(std::move(*client));
  }
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  Timed timed;
  std::optional<Error> first_error;
  const auto before = Clock::now();
  std::vector<std::jthread> threads;
  for (auto& client : clients) {
    threads.emplace_back([&] {
      std::vector<double> mine;
      for (std::uint64_t index = next++; index < options.count; index = next++) {
        const auto start = Clock::now();
        auto done = operate(workload, client, index, options.size);
        mine.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
        if (done) continue;
        const std::lock_guard lock(mutex);
        if (!first_error) first_error = std::move(done.error());
        next = options.count;
      }
      const std::lock_guard lock(mutex);
      timed.latencies_ms.insert(timed.latencies_ms.end(), mine.begin(), mine.end());
    });
  }
  threads.clear();
  timed.wall_s = std::chrono::duration<double>(Clock::now() - before).count();
  if (first_error) return fail(std::move(*first_error));
  return timed;
}

double percentile(std::vector<double>& values, double part) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

std::vector<ProcessUse> uses(const BenchMesh& mesh) {
  std::vector<ProcessUse> all;
  for (std::size_t node = 0; node < mesh.size(); ++node) {
    const auto usage = mesh.usage(node);
    all.push_back({"bench" + std::to_string(node + 1), usage.cpu_s, usage.peak_bytes});
  }
  const auto own = usage_of(getpid());
  all.push_back({"clients", own.cpu_s, own.peak_bytes});
  return all;
}

/// The node's own figure for exactly the puts that were timed here.
Result<double> node_p50_ms(const WorkOptions& options, BenchMesh& mesh, std::size_t node) {
  auto client = mesh.connect(node);
  if (!client) return fail(std::move(client.error()));
  const auto status = client->status();
  if (!status) return fail("status", status.error());
  if (status->puts_timed != options.count) {
    return fail(Errc::invalid, "the node timed " + std::to_string(status->puts_timed) + " of " +
                                   std::to_string(options.count) +
                                   " puts: it keeps the latest 4096, of up to 64 KiB");
  }
  return static_cast<double>(status->put_p50_us) / 1000;
}

}  // namespace

Result<WorkResult> run_workload(const WorkOptions& options, BenchMesh& mesh) {
  const bool writes = is_writing(options.workload);
  if (!writes) {
    const bool small = options.size <= 65536;
    auto prepared_by = options;
    prepared_by.concurrency = small ? 16 : 1;
    auto prepared = run_clients(Workload::put, prepared_by, mesh, 0);
    if (!prepared) return fail("preparing", std::move(prepared.error()));
    if (auto held = mesh.wait_until_all_hold(options.count); !held)
      return fail("preparing", std::move(held.error()));
  }
  // What one gateway wrote is read through another one.
  const std::size_t node = writes ? 0 : mesh.size() - 1;
  const auto before = uses(mesh);
  auto timed = run_clients(options.workload, options, mesh, node);
  if (!timed) return fail(std::move(timed.error()));

  WorkResult result{.wall_s = timed->wall_s,
                    .operations = options.count,
                    .bytes = options.count * options.size,
                    .p50_ms = percentile(timed->latencies_ms, 0.50),
                    .p99_ms = percentile(timed->latencies_ms, 0.99),
                    .processes = uses(mesh)};
  for (std::size_t i = 0; i < result.processes.size(); ++i)
    result.processes[i].cpu_s -= before[i].cpu_s;
  if (options.workload == Workload::client_cost) {
    auto spent = node_p50_ms(options, mesh, node);
    if (!spent) return fail(std::move(spent.error()));
    result.node_p50_ms = *spent;
    result.ipc_cost_ms = measure_ipc_cost_ms(mesh.folder(), options.size, *spent);
  }
  return result;
}

}  // namespace zerodb::bench
