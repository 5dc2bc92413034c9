#include "lambdaml/package/loaded_objects.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <type_traits>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/faas/child_process.h"

namespace lambdaml::package {
namespace {

using base::Error;
using base::ErrorCode;

constexpr base::Duration kLoaderTimeout = std::chrono::seconds(30);

template <typename T>
T ReadStruct(base::ByteSpan file, uint64_t offset, const std::string& path) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (offset > file.size() || sizeof(T) > file.size() - offset) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: a truncated program", path));
  }
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

std::string ReadAll(int descriptor) {
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) base::ThrowErrno("read", "the loader's output", errno);
  const auto size = static_cast<size_t>(status.st_size);
  return std::string(base::MapDescriptor(descriptor, size, "the loader's output").text());
}

// The loader's list of what it would load for the object.
std::string AskLoader(const std::string& loader, const std::string& object) {
  const base::FileDescriptor output(::memfd_create("libraries", MFD_CLOEXEC));
  if (output.get() < 0) base::ThrowErrno("create", "a file in memory", errno);
  faas::ChildProcess process({.program = loader,
                              .arguments = {"--list", std::filesystem::absolute(object)},
                              .environment = {},
                              .working_directory = "/",
                              .output_descriptor = output.get()});
  pollfd end = {.fd = process.pidfd(), .events = POLLIN, .revents = 0};
  if (::poll(&end, 1, base::Deadline::After(kLoaderTimeout).RemainingPollMs()) != 1) {
    throw Error(ErrorCode::kDeadlineExceeded,
                fmt::format("{} --list {}: no answer", loader, object));
  }
  const faas::ExitStatus status = process.Reap();
  std::string text = ReadAll(output.get());
  if (status.signal != 0 || status.exit_code != 0) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{} --list {}: {}: {}", loader, object, status.ToString(), text));
  }
  return text;
}

}  // namespace

std::string InterpreterOf(const std::string& program) {
  const base::Blob file = base::MapFile(program);
  const auto refuse = [&](std::string_view why) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is {}: functions are dynamically linked programs for x86-64 Linux",
                            program, why));
  };
  if (file.size() < sizeof(Elf64_Ehdr) || !file.text().starts_with(ELFMAG)) refuse("no program");
  const auto header = ReadStruct<Elf64_Ehdr>(file.span(), 0, program);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    refuse("a program for another machine");
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment =
        ReadStruct<Elf64_Phdr>(file.span(), header.e_phoff + i * sizeof(Elf64_Phdr), program);
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_offset > file.size() || segment.p_filesz > file.size() - segment.p_offset) break;
    const std::string_view path = file.text().substr(segment.p_offset, segment.p_filesz);
    return std::string(path.substr(0, path.find('\0')));
  }
  refuse("statically linked");
  return {};
}

std::vector<SharedObject> LoadedObjects(const std::string& loader, const std::string& object) {
  std::vector<SharedObject> objects;
  std::istringstream lines(AskLoader(loader, object));
  // "\tNAME => PATH (ADDRESS)", "\tNAME => not found"; without an arrow for what has no other file:
  // the kernel's own object and the loader.
  for (std::string line; std::getline(lines, line);) {
    const size_t arrow = line.find(" => ");
    if (arrow == line.npos) continue;
    const size_t name_begin = line.find_first_not_of(" \t");
    const std::string name = line.substr(name_begin, arrow - name_begin);
    const size_t path_begin = arrow + std::string_view(" => ").size();
    const size_t path_end = line.rfind(" (");
    if (path_end == line.npos || path_end < path_begin) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{} needs the library {}, which this machine lacks: install it",
                              object, name));
    }
    const std::string path = line.substr(path_begin, path_end - path_begin);
    // Not the loader under its other name, which is no library to search for.
    if (name.starts_with('/') || name == std::filesystem::path(loader).filename()) continue;
    objects.push_back({name, path});
  }
  std::ranges::sort(objects, {}, &SharedObject::name);
  return objects;
}

}  // namespace lambdaml::package
