// Loads the compiled model, compares its outputs with the recorded ones, and times it. Needs only TVM's runtime.
//
//   ./main [FOLDER [RUNS]]    FOLDER is the artifact's, which holds model.so and check/ (default ..); RUNS defaults to 20
//
// README.md says how to compile it. model.h, written for this model, holds names, shapes and element types.

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/string.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

#include "model.h"

namespace ffi = tvm::ffi;

constexpr size_t kAlignment = 64;  // bytes, that generated code counts on

struct HostMemory {
  void AllocData(DLTensor* tensor) {
    size_t bytes = ffi::GetDataSize(*tensor);
    tensor->data = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

// The recorded tensor of check/: what follows the header of a .npy file, in C order.
ffi::Tensor Recorded(const std::string& folder, const TensorSpec& spec) {
  ffi::Tensor tensor = ffi::Tensor::FromNDAlloc(HostMemory(), ffi::Shape(spec.shape),
                                                ffi::StringToDLDataType(spec.dtype), DLDevice{kDLCPU, 0});
  std::ifstream file(folder + "/" + spec.file, std::ios::binary);
  unsigned char start[12] = {};
  file.read(reinterpret_cast<char*>(start), sizeof start);
  if (!file || std::memcmp(start, "\x93NUMPY", 6) != 0) throw std::runtime_error(spec.file + " cannot be read");
  bool first_version = start[6] == 1;
  size_t header = start[8] | start[9] << 8 | (first_version ? 0 : start[10] << 16 | start[11] << 24);
  file.seekg(static_cast<std::streamoff>((first_version ? 10 : 12) + header));
  file.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(ffi::GetDataSize(tensor)));
  if (!file) throw std::runtime_error(spec.file + " is too short");
  return tensor;
}

template <typename T>
double At(const ffi::Tensor& tensor, int64_t i) {
  return static_cast<double>(static_cast<const T*>(tensor.data_ptr())[i]);
}

double Element(const ffi::Tensor& tensor, int64_t i) {
  DLDataType type = tensor.dtype();
  if (type.code == kDLFloat && type.bits == 32) return At<float>(tensor, i);
  if (type.code == kDLFloat && type.bits == 64) return At<double>(tensor, i);
  if (type.code == kDLInt && type.bits == 64) return At<int64_t>(tensor, i);
  if (type.code == kDLInt && type.bits == 32) return At<int32_t>(tensor, i);
  if (type.code == kDLInt && type.bits == 8) return At<int8_t>(tensor, i);
  if (type.bits == 8) return At<uint8_t>(tensor, i);  // unsigned or boolean
  throw std::runtime_error("this example does not compare elements of this type; run.py does");
}

// max |got - expected| / max |expected|, or the absolute error where all expected are zero; NaN counts as infinite.
double RelativeError(const ffi::Tensor& got, const ffi::Tensor& expected) {
  double difference = 0, scale = 0;
  if (got.numel() != expected.numel()) return INFINITY;
  for (int64_t i = 0; i < expected.numel(); ++i) {
    double error = std::fabs(Element(got, i) - Element(expected, i));
    if (!std::isfinite(error)) return INFINITY;
    difference = std::max(difference, error);
    scale = std::max(scale, std::fabs(Element(expected, i)));
  }
  return scale > 0 ? difference / scale : difference;
}

// One core for each thread: left alone, TVM takes half of an x86-64 machine's logical cores.
void UseThreads(int count) {
  std::vector<ffi::String> cores;
#ifdef __linux__
  cpu_set_t allowed, first;
  CPU_ZERO(&first);
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int core = 0; core < CPU_SETSIZE && static_cast<int>(cores.size()) < count; ++core) {
    if (!CPU_ISSET(core, &allowed)) continue;
    if (cores.empty()) CPU_SET(core, &first);
    cores.push_back(std::to_string(core));
  }
#else
  for (int core = 0; core < count; ++core) cores.push_back(std::to_string(core));
#endif
  ffi::Function::GetGlobalRequired("runtime.config_threadpool")(-2, static_cast<int>(cores.size()),
                                                                ffi::Array<ffi::String>(cores));
#ifdef __linux__
  sched_setaffinity(0, sizeof first, &first);
#endif
}

ffi::Module Load(const std::string& folder) {
  ffi::Module library = ffi::Module::LoadFromFile(folder + "/" + kLibrary);
  ffi::Module machine = library->GetFunction("vm_load_executable").value()().cast<ffi::Module>();
  constexpr int kPooledAllocator = 2;
  machine->GetFunction("vm_initialization").value()(static_cast<int>(kDLCPU), 0, kPooledAllocator);
  return machine;
}

std::vector<ffi::Tensor> Outputs(const ffi::Module& machine) {
  ffi::Function get = machine->GetFunction("get_output").value();
  if (machine->GetFunction("get_output_arity").value()("main").cast<int64_t>() < 0) {  // no tuple: one tensor
    return {get("main").cast<ffi::Tensor>()};
  }
  std::vector<ffi::Tensor> outputs;
  for (size_t i = 0; i < kOutputs.size(); ++i) {
    outputs.push_back(get("main", static_cast<int64_t>(i)).cast<ffi::Tensor>());
  }
  return outputs;
}

int Run(const std::string& folder, int runs) {
  UseThreads(kThreads);
  ffi::Module machine = Load(folder);
  std::vector<ffi::Tensor> inputs;
  std::vector<ffi::AnyView> arguments = {"main"};
  for (const TensorSpec& spec : kInputs) inputs.push_back(Recorded(folder, spec));
  for (const ffi::Tensor& input : inputs) arguments.push_back(input);
  ffi::Any nothing;
  machine->GetFunction("set_input").value().CallPacked(arguments.data(), static_cast<int>(arguments.size()), &nothing);

  ffi::Function invoke = machine->GetFunction("invoke_stateful").value();
  invoke("main");
  std::vector<ffi::Tensor> outputs = Outputs(machine);
  double error = 0;
  for (size_t i = 0; i < kOutputs.size(); ++i) {
    error = std::max(error, RelativeError(outputs[i], Recorded(folder, kOutputs[i])));
  }
  std::vector<double> times;  // ms
  for (int i = 0; i < runs; ++i) {
    auto start = std::chrono::steady_clock::now();
    invoke("main");
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  bool right = error <= kTolerance;
  std::printf("%s: %s the recorded outputs (error %.1e, tolerance %.0e)\n", kModel,
              right ? "matches" : "DOES NOT match", error, kTolerance);
  std::printf("median latency %.3f ms over %d runs (%.3f to %.3f), %d thread(s)\n",
              (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2, runs, times.front(), times.back(), kThreads);
  return right ? 0 : 1;
}

int main(int count, char** words) {
  int runs = count > 2 ? std::atoi(words[2]) : 20;
  try {
    return Run(count > 1 ? words[1] : "..", std::max(runs, 1));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
