// Runs a function in several threads or processes at once, and brings their failures home.
#pragma once

#include <functional>

namespace lambdaml::test {

// Calls body(0..count-1), each in a thread; rethrows one of the exceptions when all have ended.
void RunInThreads(int count, const std::function<void(int)>& body);

// Calls body(0..count-1), each in a forked process, and returns how many of them threw (printing
// what) or ended otherwise than by returning. Google Test's assertions do not cross the border:
// throw instead. The caller must have no other threads.
int CountFailingProcesses(int count, const std::function<void(int)>& body);

}  // namespace lambdaml::test
