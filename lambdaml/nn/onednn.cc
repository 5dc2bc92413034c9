#include "lambdaml/nn/onednn.h"

#include <fmt/format.h>
#include <new>
#include <omp.h>

#include <dnnl.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::delayed {

void LoadDnnl();

}  // namespace lambdaml::delayed

namespace lambdaml::nn {
namespace {

// OpenMP keeps the number of threads for each thread that calls it.
class ThreadCount {
 public:
  explicit ThreadCount(int count) : previous_(omp_get_max_threads()) { omp_set_num_threads(count); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;
  ~ThreadCount() { omp_set_num_threads(previous_); }

 private:
  int previous_;
};

[[noreturn]] void Throw(base::ErrorCode code, const char* cause) {
  throw base::Error(code, fmt::format("cannot compute the network: {}", cause));
}

}  // namespace

const dnnl::engine& Engine() {
  delayed::LoadDnnl();
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Engine());
  return stream;
}

int64_t ChannelBlock() {
  delayed::LoadDnnl();
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) &
          static_cast<unsigned>(dnnl::cpu_isa::avx512_core)) ==
                 static_cast<unsigned>(dnnl::cpu_isa::avx512_core)
             ? 16
             : 8;
}

void WithThreads(int thread_count, const std::function<void()>& work) {
  delayed::LoadDnnl();
  const ThreadCount threads(thread_count);
  try {
    work();
  } catch (const dnnl::error& error) {
    Throw(error.status == dnnl_out_of_memory ? base::ErrorCode::kResourceExhausted
                                             : base::ErrorCode::kInternal,
          error.what());
  } catch (const std::bad_alloc&) {
    Throw(base::ErrorCode::kResourceExhausted, "out of memory");
  }
}

}  // namespace lambdaml::nn
