#pragma once
// What stands at the end of RocksDB's log: a record that was being written when the process or the
// machine stopped, or damage. RocksDB refuses both alike, or passes over both alike. Blocking.
// The format of the log: "Write Ahead Log File Format" in RocksDB's wiki.

#include <filesystem>

namespace zerodb {

/// Whether all logs in the folder of a RocksDB database are whole, but for a last record of the
/// last one of which only a beginning is there. Where each write is synced before the next one
/// begins, as in Index, that one was never synced, and nothing else is missing. A last record that
/// is there in full and fails its checksum may be either, so it counts as damage: Alagappan et al.,
/// "Protocol-Aware Recovery for Consensus-Based Storage" (FAST 2018), on the last entry of a log.
bool is_last_record_torn(const std::filesystem::path& database);

}  // namespace zerodb
