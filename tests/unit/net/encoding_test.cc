// SHA-256, HMAC, hexadecimal, base64, percent-encoding and times.
#include <gtest/gtest.h>

#include "lambdaml/base/random.h"
#include "lambdaml/net/base64.h"
#include "lambdaml/net/md5.h"
#include "lambdaml/net/percent.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/net/wall_time.h"

namespace lambdaml::net {
namespace {

using base::AsBytes;
using base::AsText;

// FIPS 180-4, appendix; RFC 4231, section 4.
TEST(Sha256, EqualsThePublishedDigests) {
  EXPECT_EQ(Hex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256(AsBytes(std::string(1'000'000, 'a')))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(HmacSha256, EqualsThePublishedDigests) {
  EXPECT_EQ(Hex(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hex(HmacSha256(AsBytes(std::string(20, '\x0b')), AsBytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(Hex(HmacSha256(AsBytes(std::string(131, '\xaa')),
                           AsBytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, TakesAnEmptyKeyAfterAnother) {
  HmacSha256(AsBytes("another"), AsBytes("x"));
  EXPECT_EQ(Hex(HmacSha256({}, {})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// RFC 4648, section 10.
// RFC 1321, appendix A.5.
TEST(Md5, EqualsThePublishedDigests) {
  EXPECT_EQ(Hex(Md5({})), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Hex(Md5(AsBytes("message digest"))), "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST(Base64, EqualsThePublishedEncodings) {
  const std::pair<const char*, const char*> pairs[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : pairs) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), encoded);
    const auto decoded = Base64Decode(encoded);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(AsText(*decoded), plain);
  }
  EXPECT_EQ(Base64Encode(AsBytes("\xfb\xff\xfe")), "+//+");
}

TEST(Base64, RefusesWhatTheEncoderDoesNotWrite) {
  for (const char* const text : {"Z",        "Zg",       "Zg=",    "Zg===", "=",
                                 "==",       "===",      "====",   "Z===",  "Zh==",
                                 "Zm9=",     "Zg==Zg==", "Zm9v\n", "Zm 9",  "Zm-_",
                                 "Zm9v====", "=Zm9",     "Z=m9",   "Zm=v",  "\xff\xff\xff\xff"}) {
    EXPECT_FALSE(Base64Decode(text).has_value()) << text;
  }
}

TEST(Base64, DecodesExactlyWhatItEncodes) {
  constexpr uint64_t kSeed = 20'260'501;
  SCOPED_TRACE(kSeed);
  base::Random random(kSeed);
  for (int round = 0; round < 5000; ++round) {
    base::Bytes bytes(random.Below(70));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next());
    std::string text = Base64Encode(bytes);
    ASSERT_EQ(Base64Decode(text), bytes);
    // Whatever a change makes of it, it is refused or the encoding of what comes out.
    if (text.empty()) continue;
    text[random.Below(text.size())] = static_cast<char>(random.Next());
    const auto decoded = Base64Decode(text);
    if (decoded) {
      ASSERT_EQ(Base64Encode(*decoded), text);
    }
  }
}

TEST(PercentEncode, KeepsTheUnreservedOnly) {
  std::string encoded;
  for (int c = 0; c < 256; ++c) encoded += PercentEncode(std::string(1, static_cast<char>(c)));
  EXPECT_EQ(encoded.size(), 66U + 190U * 3U);
  EXPECT_EQ(PercentEncode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(PercentEncode(std::string("\0 +/=\xff", 6)), "%00%20%2B%2F%3D%FF");
  EXPECT_EQ(PercentEncode("a/b c", "/"), "a/b%20c");
}

TEST(WallTime, IsWrittenAndReadInTheFormsOfServices) {
  const WallTime time = WallTime(std::chrono::seconds(784'111'777));
  EXPECT_EQ(FormatAmzDate(time), "19941106T084937Z");
  EXPECT_EQ(FormatAmzDate(time + std::chrono::milliseconds(999)), "19941106T084937Z");
  EXPECT_EQ(ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), time);
  EXPECT_EQ(ParseIsoTime("1994-11-06T08:49:37Z"), time);
  EXPECT_EQ(ParseIsoTime("1994-11-06T08:49:37.123Z"), time);
}

TEST(WallTime, IsNotReadFromAnythingElse) {
  for (const char* const text :
       {"", "x", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 9999 08:49:37 GMT", "Sun, 06 Nov 1994 08-49-37 GMT"}) {
    EXPECT_FALSE(ParseHttpDate(text).has_value()) << text;
  }
  for (const char* const text :
       {"", "1994-11-06", "1994-11-06T08:49:37", "1994-11-06T08:49:37+01:00",
        "1994-13-06T08:49:37Z", "0000-11-06T08:49:37Z", "1994-11-06T08:49:37.Z",
        "1994-11-06T08:49:37,5Z", "1994-11-06 08:49:37Z"}) {
    EXPECT_FALSE(ParseIsoTime(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace lambdaml::net
