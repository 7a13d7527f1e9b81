#pragma once
/// Numbers of a run as TensorBoard reads them.

#include <metatt/tn/tensor.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace metatt::apps {

/// An event file: records with check sums (TensorFlow's TFRecord), each an Event message of
/// tensorflow/core/util/event.proto.
class EventFile {
 public:
  /// Creates folder/events.out.tfevents.TIME.metatt. What earlier files of the folder say of
  /// `first_step` and later steps is void: TensorBoard drops it. Throws Error naming the file.
  EventFile(const std::filesystem::path& folder, tn::Index first_step);

  /// Scalars of one step, on their way to the disk when the call returns.
  void write(tn::Index step, const std::vector<std::pair<std::string, double>>& scalars);

 private:
  void write_record(const std::string& event);

  std::filesystem::path file_;
  std::ofstream stream_;
};

/// Removes the event files of earlier runs from a folder, and it if nothing else is in it.
void remove_event_files(const std::filesystem::path& folder);

}  // namespace metatt::apps
