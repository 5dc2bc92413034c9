// Binary shards against their other readers and writers, NumPy and SciPy.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/load.h"
#include "lambdaml/data/npz.h"
#include "lambdaml/data/save.h"
#include "lambdaml/data/zip.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

constexpr std::string_view kText = "1 1:0.5 3:-2e-3\n-1.5 2:7\n3\n0 1:1 2:2 3:16777217\n";

class Numpy : public testing::Test {
 protected:
  void SetUp() override {
    if (Python("import numpy, scipy.sparse") != 0) {
      GTEST_SKIP() << "python3 with numpy and scipy is not installed: its reading is not tested";
    }
  }
  std::string Path(std::string_view name) const { return folder_.path() + "/" + std::string(name); }
  // Runs a script in which `path` is the file; 0 when it ends well.
  int Python(std::string_view script, std::string_view name = "s.npz") {
    base::WriteFileAtomic(Path("script.py"),
                          base::AsBytes("path = '" + Path(name) + "'\n" + std::string(script)));
    const std::string command = "/usr/bin/python3 " + Path("script.py") + " 2>" + Path("errors");
    return std::system(command.c_str());
  }

  base::TemporaryDirectory folder_{"/tmp", "numpy_test"};
};

TEST_F(Numpy, ReadsOurShards) {
  SaveFile(FromText(kText, {.layout = Layout::kDense}), Path("d.npz"), FileFormat::kNpz);
  SaveFile(FromText(kText, {.layout = Layout::kSparse}), Path("s.npz"), FileFormat::kNpz);
  EXPECT_EQ(Python(R"(
import numpy, scipy.sparse
X = numpy.array([[.5, 0, -2e-3], [0, 7, 0], [0, 0, 0], [1, 2, 16777216]], dtype='float32')
y = numpy.array([1, -1.5, 3, 0])
d = numpy.load(path.replace('s.npz', 'd.npz'))
assert d['X'].dtype == 'float32' and (d['X'] == X).all() and (d['y'] == y).all()
s = scipy.sparse.load_npz(path)
assert s.format == 'csr' and s.dtype == 'float32' and s.shape == (4, 3) and s.nnz == 6
s.check_format(full_check=True)
assert (s.toarray() == X).all() and (numpy.load(path)['y'] == y).all()
)"),
            0)
      << base::MapFile(Path("errors")).text();
}

TEST_F(Numpy, WritesWhatWeRead) {
  ASSERT_EQ(Python(R"(
import numpy, scipy.sparse
X = numpy.array([[.5, 0, -2e-3], [0, 7, 0], [0, 0, 0], [1, 2, 16777216]])
y = numpy.array([1, -1, 3, 0])
numpy.savez(path.replace('s.npz', 'd.npz'), X=X, y=y)
numpy.savez(path.replace('s.npz', 'f.npz'), X=numpy.asfortranarray(X.astype('float32')), y=y)
scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(X), compressed=False)
scipy.sparse.save_npz(path.replace('s.npz', 'z.npz'), scipy.sparse.csr_matrix(X))
scipy.sparse.save_npz(path.replace('s.npz', 'c.npz'), scipy.sparse.csc_matrix(X), compressed=False)
)"),
            0)
      << base::MapFile(Path("errors")).text();
  const Dataset expected = FromText(kText, {.layout = Layout::kDense});
  for (const std::string name : {"d.npz", "f.npz", "s.npz"}) {
    const Dataset dataset = LoadFile(Path(name), {.layout = Layout::kDense});
    EXPECT_EQ(ToPlain(dataset).values, ToPlain(expected).values) << name;
  }
  EXPECT_THAT(LoadFile(Path("d.npz"), {}).labels, testing::ElementsAre(1, -1, 3, 0));
  EXPECT_THAT(LoadFile(Path("s.npz"), {}).labels, testing::Each(0));
  EXPECT_THAT(ErrorOf([&] { LoadFile(Path("z.npz"), {}); }),
              testing::HasSubstr("indices.npy is compressed; write it with"));
  EXPECT_THAT(ErrorOf([&] { LoadFile(Path("c.npz"), {}); }),
              testing::HasSubstr("the matrix is 'csc', it must be 'csr'"));
}

// The headers of an archive beyond 4 GB, in a file that is mostly a hole.
TEST_F(Numpy, ReadsZip64) {
  constexpr uint64_t kLargeBytes = (uint64_t{9} << 29) + 7;
  ZipWriter zip;
  const std::string large = zip.BeginMember("large.npy", kLargeBytes, 0);
  const std::string small = zip.BeginMember("small.npy", 3, Crc32(0, base::AsBytes("abc"))) + "abc";
  {
    base::AtomicFile file(Path("s.npz"));
    file.Append(base::AsBytes(large));
    file.Commit();
  }
  std::filesystem::resize_file(Path("s.npz"), large.size() + kLargeBytes);
  std::ofstream(Path("s.npz"), std::ios::app) << small << zip.Finish();
  const base::Blob archive = base::MapFile(Path("s.npz"));
  const auto members = ReadZip(archive.span(), "s");
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0].bytes.size(), kLargeBytes);
  EXPECT_EQ(base::AsText(members[1].bytes), "abc");
  EXPECT_EQ((members[1].bytes.data() - archive.data()) % 64, 0);
  EXPECT_EQ(Python(R"(
import zipfile
archive = zipfile.ZipFile(path)
assert archive.getinfo('large.npy').file_size == 9 * 2**29 + 7
assert archive.read('small.npy') == b'abc'
)"),
            0)
      << base::MapFile(Path("errors")).text();
}

// Files of today must stay readable, and equal contents give equal bytes: the golden checksums
// change only together with docs/formats.md.
TEST(GoldenShards, BytesOfAShardDoNotChange) {
  const auto checksum = [](Layout layout) {
    return base::ChecksumHex(base::Checksum64(EncodeNpz(FromText(kText, {.layout = layout}))));
  };
  EXPECT_EQ(checksum(Layout::kDense), "ae26abf9d4650c1c");
  EXPECT_EQ(checksum(Layout::kSparse), "23fc86518b6f6894");
}

}  // namespace
}  // namespace lambdaml::data
