// A model file's kind is told by its first bytes. The readers trust no number in it: whatever they
// allocate is bounded by the bytes that are there.
#include "model_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "file_error.hpp"
#include "lightgbm_text.hpp"
#include "saved_forest.hpp"
#include "student_file.hpp"

namespace distilrank {
namespace {

// So many bytes tell the kind: the length of a safetensors header and its opening brace.
constexpr size_t kStart = 9;

bool is_lightgbm(std::string_view file) {
    return file.substr(0, 5) == "tree\n" || file.substr(0, 5) == "tree\r";
}

bool is_safetensors(std::string_view file) { return file.size() >= kStart && file[8] == '{'; }

void check_kind(std::string_view start) {
    if (start.empty()) refuse_file("the file is empty");
    if (!is_lightgbm(start) && !is_safetensors(start))
        refuse_file("the file is neither safetensors, as networks and forests are saved, nor a forest "
                    "as LightGBM text: it starts with " +
                    quoted(start.substr(0, kStart)));
}

// Reads, not maps: a mapped file that another process cuts short would kill this one.
class File {
public:
    // A pipe without a writer would keep a blocking open() waiting.
    explicit File(const char *path) : file_(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
        if (file_ < 0) fail("opened");
    }
    ~File() {
        if (file_ >= 0) ::close(file_);
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;

    size_t size() const {
        struct stat found {};
        if (::fstat(file_, &found)) fail("read");
        if (S_ISDIR(found.st_mode)) refuse_file("this is a folder, expected a model's file");
        if (!S_ISREG(found.st_mode)) refuse_file("this is no regular file");
        return static_cast<size_t>(found.st_size);
    }

    // The next `size` bytes; fewer at the file's end.
    size_t read(char *into, size_t size) const {
        constexpr size_t most = size_t{1} << 30; // of one call
        size_t done = 0;
        while (done < size) {
            const ssize_t now = ::read(file_, into + done, std::min(size - done, most));
            if (now < 0 && errno == EINTR) continue;
            if (now < 0) fail("read");
            if (now == 0) break;
            done += static_cast<size_t>(now);
        }
        return done;
    }

private:
    [[noreturn]] static void fail(const char *what) {
        const int why = errno; // before anything is allocated
        refuse_file(std::string("the file cannot be ") + what + ": " +
                    std::generic_category().message(why));
    }

    int file_;
};

} // namespace

std::unique_ptr<Scorer> read_model(std::string_view file, const distilrank_options &options) {
    check_kind(file);
    if (is_lightgbm(file)) return read_lightgbm(file, options);
    const Safetensors tensors = read_safetensors(file);
    return is_forest_file(tensors) ? read_forest_file(tensors, options)
                                   : read_student(tensors, options);
}

std::unique_ptr<Scorer> open_model(const char *path, const distilrank_options &options) {
    const File file(path);
    const size_t size = file.size();
    // The start first: no memory is spent on a large file of another kind.
    char start[kStart];
    const size_t first = file.read(start, std::min(size, kStart));
    check_kind({start, first});
    const std::unique_ptr<char[]> bytes(new char[size]);
    std::copy_n(start, first, bytes.get());
    const size_t rest = file.read(bytes.get() + first, size - first);
    return read_model({bytes.get(), first + rest}, options);
}

} // namespace distilrank
