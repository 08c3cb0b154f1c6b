#include "tools/zbench_roofline.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "store/cipher.hpp"
#include "store/hash.hpp"

namespace zerodb::bench {

namespace {

using Span = std::chrono::duration<double, std::milli>;

constexpr double gigabyte = 1e9;
constexpr std::size_t rounds = 256;  // of one chunk each

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Runs `work`, which pushes rounds * chunk_bytes_max bytes through one step.
Step measure(const std::function<void()>& work) {
  const double per_gigabyte = gigabyte / (static_cast<double>(rounds) * chunk_bytes_max);
  const double cpu_before = cpu_seconds();
  const auto before = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - before;
  return {(cpu_seconds() - cpu_before) * per_gigabyte, wall.count() * per_gigabyte};
}

Step measure_hop(const std::string& bind, bool curve) {
  zmq::context_t context(2);
  zmq::socket_t router(context, zmq::socket_type::router);
  zmq::socket_t dealer(context, zmq::socket_type::dealer);
  if (curve) {
    const auto server = CurvePair::generate();
    const auto client = CurvePair::generate();
    router.set(zmq::sockopt::curve_server, true);
    const auto buffer = [](ByteView key) { return zmq::buffer(key.data(), key.size()); };
    router.set(zmq::sockopt::curve_secretkey, buffer(server.secret.view()));
    dealer.set(zmq::sockopt::curve_serverkey, buffer(server.public_key.view()));
    dealer.set(zmq::sockopt::curve_publickey, buffer(client.public_key.view()));
    dealer.set(zmq::sockopt::curve_secretkey, buffer(client.secret.view()));
  }
  for (auto* socket : {&router, &dealer}) {
    socket->set(zmq::sockopt::linger, 0);
    socket->set(zmq::sockopt::sndhwm, 16);
    socket->set(zmq::sockopt::rcvhwm, 16);
  }
  router.bind(bind);
  dealer.connect(router.get(zmq::sockopt::last_endpoint));
  const auto push = [&](std::size_t count) {
    std::thread sender([&] {
      for (std::size_t i = 0; i < count; ++i)
        dealer.send(zmq::message_t(chunk_bytes_max), zmq::send_flags::none);
    });
    zmq::message_t frame;
    for (std::size_t i = 0; i < 2 * count; ++i)
      (void)router.recv(frame);
    sender.join();
  };
  push(1);  // the handshake does not count
  return measure([&] { push(rounds); });
}

std::filesystem::path socket_below(const std::filesystem::path& folder) {
  return folder / ("zbench-" + std::to_string(getpid()) + ".sock");
}

void remove_socket(const std::filesystem::path& socket) {
  std::error_code ignored;
  std::filesystem::remove(socket, ignored);
}

/// Answers `count` requests of two frames with as many, the payload empty, each after `work`.
/// Answers how long each took.
std::vector<double> serve(zmq::socket_t& router, std::size_t count, Span work) {
  std::vector<double> times_ms;
  for (std::size_t i = 0; i < count; ++i) {
    zmq::message_t from;
    zmq::message_t header;
    zmq::message_t payload;
    (void)router.recv(from);
    (void)router.recv(header);
    (void)router.recv(payload);
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(work);
    times_ms.push_back(Span(std::chrono::steady_clock::now() - start).count());
    router.send(from, zmq::send_flags::sndmore);
    router.send(header, zmq::send_flags::sndmore);
    router.send(zmq::message_t(), zmq::send_flags::none);
  }
  return times_ms;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct DiskSteps {
  Step write_sync;
  Step read_back;
};

Result<DiskSteps> measure_disk(const std::filesystem::path& folder, ByteView chunk) {
  std::string path = (folder / "zbench-disk-XXXXXX").string();
  const int file = mkstemp(path.data());
  if (file < 0) return fail(Errc::io, folder.string() + ": cannot write here");
  unlink(path.c_str());
  bool whole = true;
  DiskSteps steps;
  steps.write_sync = measure([&] {
    for (std::size_t i = 0; i < rounds; ++i)
      whole &= write(file, chunk.data(), chunk.size()) == static_cast<ssize_t>(chunk.size());
    whole &= fdatasync(file) == 0;
  });
  Bytes back(chunk.size());
  steps.read_back = measure([&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      whole &= pread(file, back.data(), back.size(), static_cast<off_t>(i * back.size())) ==
               static_cast<ssize_t>(back.size());
    }
  });
  close(file);
  if (!whole) return fail(Errc::io, folder.string() + ": writing 256 MiB failed");
  return steps;
}

}  // namespace

double Roofline::put_bytes_per_s(unsigned replicas) const {
  const double copies = replicas;
  // The client hands over once; the gateway seals; every copy is hashed by the node that checks
  // it and written once; all copies but the gateway's own cross the network.
  const double cpu_s = ipc_hop.cpu_s + seal.cpu_s + copies * (leaf.cpu_s + write_sync.cpu_s) +
                       (copies - 1) * curve_hop.cpu_s;
  return gigabyte / std::max(cpu_s / cores, copies * write_sync.wall_s);
}

double Roofline::get_bytes_per_s(unsigned) const {
  // The gateway holds a copy in both cases: read, open, hand over.
  const double cpu_s = read_back.cpu_s + open.cpu_s + ipc_hop.cpu_s;
  return gigabyte / (cpu_s / cores);
}

double measure_ipc_cost_ms(const std::filesystem::path& folder, std::size_t bytes, double work_ms) {
  constexpr std::size_t header_bytes = 64;
  constexpr std::size_t count = 1'000;
  const auto path = socket_below(folder);
  zmq::context_t server_context(1);  // one each, as the two processes have
  zmq::context_t client_context(1);
  zmq::socket_t router(server_context, zmq::socket_type::router);
  zmq::socket_t dealer(client_context, zmq::socket_type::dealer);
  router.bind("ipc://" + path.string());
  dealer.connect("ipc://" + path.string());
  std::vector<double> served_ms;
  std::thread server([&] { served_ms = serve(router, count, Span(work_ms)); });
  std::vector<double> times_ms;
  for (std::size_t i = 0; i < count; ++i) {
    const auto start = std::chrono::steady_clock::now();
    dealer.send(zmq::message_t(header_bytes), zmq::send_flags::sndmore);
    dealer.send(zmq::message_t(bytes), zmq::send_flags::none);
    zmq::message_t frame;
    do {
      (void)dealer.recv(frame);
    } while (frame.more());
    times_ms.push_back(Span(std::chrono::steady_clock::now() - start).count());
  }
  server.join();
  remove_socket(path);
  return median(std::move(times_ms)) - median(std::move(served_ms));
}

Result<Roofline> measure_roofline(const std::filesystem::path& folder) {
  Roofline roofline;
  roofline.cores = std::max(1U, std::thread::hardware_concurrency());
  Bytes plain(chunk_bytes_max);
  fill_random(plain);
  Bytes sealed(sealed_chunk_bytes_max);
  const auto key = ContentKey::random();
  const ChunkBinding binding;
  roofline.seal = measure([&] {
    for (std::size_t i = 0; i < rounds; ++i)
      seal_chunk(key, binding, {i, false}, plain, sealed);
  });
  bool opened = true;
  roofline.open = measure([&] {
    for (std::size_t i = 0; i < rounds; ++i)
      opened &= open_chunk(key, binding, {rounds - 1, false}, sealed, plain).has_value();
  });
  if (!opened) return fail(Errc::corrupt, "a chunk sealed here did not open");
  roofline.leaf = measure([&] {
    for (std::size_t i = 0; i < rounds; ++i)
      (void)leaf_of(sealed);
  });
  roofline.curve_hop = measure_hop("tcp://127.0.0.1:*", true);
  const auto socket = socket_below(folder);
  roofline.ipc_hop = measure_hop("ipc://" + socket.string(), false);
  remove_socket(socket);
  auto disk = measure_disk(folder, plain);
  if (!disk) return fail(std::move(disk.error()));
  roofline.write_sync = disk->write_sync;
  roofline.read_back = disk->read_back;
  return roofline;
}

}  // namespace zerodb::bench
