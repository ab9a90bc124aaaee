/* Programs and temporary files of linking. */
#include "compiler/link_tools.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- temporary files ----
 * The list lives in static memory of fixed size so that a signal handler can walk it. */
enum { MAX_FILES = 320 /* pages that are not used are never touched */, MAX_NAME = 40, MAX_DIR = 4000, MAX_PATH = MAX_DIR + MAX_NAME + 2 };
struct link_temp { char dir[MAX_DIR], out[MAX_DIR]; };
static struct link_temp temp;
static char temp_file[MAX_FILES][MAX_PATH];
static volatile sig_atomic_t temp_files, temp_live;
static volatile pid_t child;                             /* that must not outlive us writing into the directory */
static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
enum { SIGNALS = sizeof signals / sizeof *signals };
static struct sigaction old_action[SIGNALS];

static void remove_all(void)
{
  for (int i = 0; i < temp_files; i++) unlink(temp_file[i]);
  if (temp_live) rmdir(temp.dir);
  temp_live = 0;
}
static void on_signal(int s)
{
  if (child > 0) { kill(child, SIGKILL); waitpid(child, NULL, 0); }
  remove_all();
  signal(s, SIG_DFL);
  raise(s);
}
static void watch_signals(void)
{
  for (int i = 0; i < SIGNALS; i++) {
    struct sigaction act = { .sa_handler = on_signal };
    sigfillset(&act.sa_mask);
    sigaction(signals[i], NULL, &old_action[i]);
    if (old_action[i].sa_handler != SIG_IGN) sigaction(signals[i], &act, NULL);
  }
}
struct link_temp *link_temp_begin(struct ir_diags *d, const char *out)
{
  const char *slash = strrchr(out, '/'), *base = slash ? slash + 1 : out;
  int n = snprintf(temp.dir, sizeof temp.dir, "%.*s.%.64s.XXXXXX", (int)(base - out), out, base);
  if (n < 0 || n >= MAX_DIR) { ir_error(d, IR_M0002, NULL, NULL, "%s: the path is too long", out); return NULL; }
  snprintf(temp.out, sizeof temp.out, "%s", out);
  temp_files = 0;
  sigset_t all, old;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &old);                    /* no signal between the directory's making and its being known */
  temp_live = mkdtemp(temp.dir) != NULL;
  int why = errno;
  if (temp_live) watch_signals();
  sigprocmask(SIG_SETMASK, &old, NULL);
  if (temp_live) return &temp;
  ir_error(d, IR_M0002, NULL, NULL, "%s: cannot write in its directory: %s", out, strerror(why));
  return NULL;
}
const char *link_temp_path(struct link_temp *t, const char *name)
{
  for (int i = 0; i < temp_files; i++)
    if (!strcmp(temp_file[i] + strlen(t->dir) + 1, name)) return temp_file[i];
  IR_ASSERT(temp_files < MAX_FILES && strlen(name) <= MAX_NAME);
  snprintf(temp_file[temp_files], MAX_PATH, "%s/%.*s", t->dir, MAX_NAME, name);
  return temp_file[temp_files++];
}
static bool write_full(int fd, const void *p, size_t n)
{
  for (size_t done = 0; done < n;) {
    ssize_t r = write(fd, (const char *)p + done, n - done);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return false;
    done += (size_t)r;
  }
  return true;
}
bool link_temp_write(struct ir_diags *d, struct link_temp *t, const char *name, const void *p, size_t n, const char **out_path)
{
  *out_path = link_temp_path(t, name);
  int fd = open(*out_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && write_full(fd, p, n);
  int why = errno;
  if (fd >= 0 && close(fd) && ok) { ok = false; why = errno; }
  return ok || ir_error(d, IR_M0002, NULL, NULL, "%s: %s, a file for the time of linking: %s", t->out, *out_path, strerror(why));
}
void link_temp_end(struct link_temp *t)
{
  if (!t || !temp_live) return;
  remove_all();
  for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &old_action[i], NULL);
}

/* ---- programs ---- */
const char *link_find_program(struct ir_arena *a, const char *const *names)
{
  const char *path = getenv("PATH");
  if (!path || !*path) path = "/usr/bin:/bin";
  for (; *names; names++)
    for (const char *p = path; *p;) {
      size_t n = strcspn(p, ":");
      const char *file = ir_arena_printf(a, "%.*s/%s", n ? (int)n : 1, n ? p : ".", *names);
      struct stat st;
      if (!stat(file, &st) && S_ISREG(st.st_mode) && !access(file, X_OK)) return file;
      p += n + (p[n] == ':');
    }
  return NULL;
}
/* Everything that comes through fd until its end; the first bytes are kept in out, which is terminated. */
static void drain(int fd, char *out, size_t n)
{
  char dump[4096];
  size_t at = 0;
  for (;;) {
    bool keep = at + 1 < n;
    ssize_t r = read(fd, keep ? out + at : dump, keep ? n - 1 - at : sizeof dump);
    if (r < 0 && errno == EINTR) continue;
    if (r <= 0) break;
    if (keep) at += (size_t)r;
  }
  out[at] = 0;
}
static void print_command(char *const *argv)
{
  for (int i = 0; argv[i]; i++) fprintf(stderr, "%s%s", i ? " " : "", argv[i]);
  fputc('\n', stderr);
}
/* The environment of tools: ours, but for what changes ld's output or the language of its messages. The strings are environ's. */
static char **tool_environment(void)
{
  static const char *const drop[] = { "LD_RUN_PATH=", "LDEMULATION=", "GNUTARGET=", "LC_ALL=", "LANGUAGE=" };
  size_t n = 0, k = 0;
  while (environ[n]) n++;
  char **e = calloc(n + 2, sizeof *e);
  for (size_t i = 0; e && i < n; i++) {
    bool keep = true;
    for (unsigned j = 0; j < sizeof drop / sizeof *drop; j++) keep &= strncmp(environ[i], drop[j], strlen(drop[j])) != 0;
    if (keep) e[k++] = environ[i];
  }
  if (e) e[k] = (char *)"LC_ALL=C";
  return e;
}
/* Starts argv with standard output at /dev/null or at *out, standard error at *err. */
static int start(char *const *argv, int out_fd, int err_fd, pid_t *pid)
{
  posix_spawn_file_actions_t fa;
  posix_spawnattr_t attr;
  sigset_t set;
  char **env = tool_environment();
  if (!env) return ENOMEM;
  int rc = posix_spawn_file_actions_init(&fa);
  if (rc) { free(env); return rc; }
  posix_spawnattr_init(&attr);
  sigemptyset(&set);
  posix_spawnattr_setsigmask(&attr, &set);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
  if (out_fd >= 0) posix_spawn_file_actions_adddup2(&fa, out_fd, 1);
  else posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
  if (err_fd >= 0) posix_spawn_file_actions_adddup2(&fa, err_fd, 2);
  else posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
  rc = posix_spawn(pid, argv[0], &fa, &attr, argv, env);
  free(env);
  posix_spawn_file_actions_destroy(&fa);
  posix_spawnattr_destroy(&attr);
  return rc;
}
/* Runs argv, its standard error (or output) into text. Returns the wait status, or -1 with errno. */
static int run(char *const *argv, bool want_out, char *text, size_t n)
{
  int fd[2];
  pid_t pid;
  *text = 0;
  if (pipe2(fd, O_CLOEXEC)) return -1;
  sigset_t all, old;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &old);                    /* the handler must know of the child */
  int rc = start(argv, want_out ? fd[1] : -1, want_out ? -1 : fd[1], &pid), status = -1;
  child = rc ? 0 : pid;
  sigprocmask(SIG_SETMASK, &old, NULL);
  close(fd[1]);
  if (!rc) {
    drain(fd[0], text, n);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    child = 0;
  }
  close(fd[0]);
  errno = rc;
  return rc ? -1 : status;
}
/* Lines into one. */
static void one_line(char *s)
{
  size_t n = strlen(s);
  while (n && (s[n - 1] == '\n' || s[n - 1] == ' ')) s[--n] = 0;
  for (; *s; s++)
    if (*s == '\n') *s = ';';
}
bool link_run(struct ir_diags *d, const char *out, char *const *argv, bool echo)
{
  char text[2048];
  if (echo) print_command(argv);
  int status = run(argv, false, text, sizeof text);
  if (status == -1) return ir_error(d, IR_M0402, NULL, NULL, "%s cannot be started: %s; it comes with Debian's package binutils", argv[0], strerror(errno));
  if (WIFEXITED(status) && !WEXITSTATUS(status)) return true;
  one_line(text);
  if (WIFSIGNALED(status)) return ir_error(d, IR_M0002, NULL, NULL, "%s: %s was ended by signal %d: %s", out, argv[0], WTERMSIG(status), text);
  return ir_error(d, IR_M0002, NULL, NULL, "%s: %s failed with status %d: %s", out, argv[0], WEXITSTATUS(status), text);
}
static bool has_libc(struct ir_arena *a, const char *dir)
{
  static const char *const files[] = { "Scrt1.o", "crti.o", "crtn.o", "libc.so", "libm.so" };
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
    if (access(ir_arena_printf(a, "%s/%s", dir, files[i]), R_OK)) return false;
  return true;
}
const char *link_libc_dir(struct ir_arena *a)
{
  static const char *const dirs[] = { "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu", "/lib64" };
  static const char *const compilers[] = { "cc", "gcc", "clang", NULL };
  for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
    if (has_libc(a, dirs[i])) return dirs[i];
  const char *cc = link_find_program(a, compilers);
  char text[4096];
  if (!cc || run((char *const[]){ (char *)cc, "-print-file-name=Scrt1.o", NULL }, true, text, sizeof text)) return NULL;
  one_line(text);
  char *slash = strrchr(text, '/');
  if (!slash) return NULL;
  *slash = 0;
  return has_libc(a, text) ? ir_arena_strdup(a, text) : NULL;
}
