// What the files that use oneDNN share. Its headers stay in .cc files. The functions here load it
// when it is first wanted; they throw kNotFound if it is not there, and come before any other use.
#pragma once

#include <cstdint>
#include <functional>

namespace dnnl {
struct engine;
struct stream;
}  // namespace dnnl

namespace lambdaml::nn {

// The processor as an engine, and a stream that computes on the calling thread and its team.
const dnnl::engine& Engine();
dnnl::stream& Stream();

// Channels of a block of activations: the floats of the widest vector register oneDNN uses here.
int64_t ChannelBlock();

// Runs work with oneDNN and OpenMP set to thread_count threads on this thread, and turns their
// errors into Error: kResourceExhausted for memory, kInternal for anything else.
void WithThreads(int thread_count, const std::function<void()>& work);

}  // namespace lambdaml::nn
