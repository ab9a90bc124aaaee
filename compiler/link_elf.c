/* ELF by hand: the placeholder object, and pointing headers at appended weights. Source: System V ABI, AMD64 supplement (SHF_X86_64_LARGE). */
#include "compiler/link_elf.h"
#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGE = 0x10000000 /* SHF_X86_64_LARGE */, MAX_PHDRS = 64, MAX_SHDRS = 60000, PAGE = 4096, HUGE = 2 << 20, GAP = 512 << 10 };

size_t link_elf_placeholder(void *out, const char *sym)
{
  static const char names[] = "\0.lrodata\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";
  enum { NAME_DATA = 1, NAME_SYMTAB = 10, NAME_STRTAB = 18, NAME_SHSTRTAB = 26, NAME_NOTE = 36 };
  Elf64_Sym syms[2] = { { 0 }, { .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_other = STV_HIDDEN, .st_shndx = 1 } };
  uint64_t data = PAGE, symtab = data + LINK_PLACEHOLDER, strtab = symtab + sizeof syms, sym_n = strlen(sym) + 2, shstrtab = strtab + sym_n;
  uint64_t shoff = (shstrtab + sizeof names + 7) / 8 * 8;
  const Elf64_Shdr sections[] = {
    { 0 },
    { .sh_name = NAME_DATA, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | LARGE, .sh_offset = data, .sh_size = LINK_PLACEHOLDER, .sh_addralign = PAGE },
    { .sh_name = NAME_SYMTAB, .sh_type = SHT_SYMTAB, .sh_offset = symtab, .sh_size = sizeof syms, .sh_link = 3, .sh_info = 1, .sh_addralign = 8, .sh_entsize = sizeof *syms },
    { .sh_name = NAME_STRTAB, .sh_type = SHT_STRTAB, .sh_offset = strtab, .sh_size = sym_n, .sh_addralign = 1 },
    { .sh_name = NAME_SHSTRTAB, .sh_type = SHT_STRTAB, .sh_offset = shstrtab, .sh_size = sizeof names, .sh_addralign = 1 },
    { .sh_name = NAME_NOTE, .sh_type = SHT_PROGBITS, .sh_offset = shstrtab, .sh_addralign = 1 },
  };
  enum { SECTIONS = sizeof sections / sizeof *sections };
  Elf64_Ehdr h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_REL, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
                   .e_shoff = shoff, .e_ehsize = sizeof h, .e_shentsize = sizeof *sections, .e_shnum = SECTIONS, .e_shstrndx = 4 };
  uint8_t *p = out;
  memset(p, 0, LINK_PLACEHOLDER_OBJECT);
  memcpy(p, &h, sizeof h);
  memcpy(p + symtab, syms, sizeof syms);
  memcpy(p + strtab + 1, sym, sym_n - 1);
  memcpy(p + shstrtab, names, sizeof names);
  memcpy(p + shoff, sections, sizeof sections);
  return shoff + sizeof sections;
}

/* ---- attaching ---- */
struct elf { int fd; Elf64_Ehdr h; Elf64_Phdr ph[MAX_PHDRS]; Elf64_Shdr *sh; int section, segment; };

static bool read_at(int fd, void *p, size_t n, uint64_t at) { return pread(fd, p, n, (off_t)at) == (ssize_t)n; }
static bool write_at(int fd, const void *p, size_t n, uint64_t at) { return pwrite(fd, p, n, (off_t)at) == (ssize_t)n; }
static const char *load(struct elf *e)
{
  if (!read_at(e->fd, &e->h, sizeof e->h, 0)) return "";
  if (e->h.e_phnum > MAX_PHDRS || e->h.e_shnum > MAX_SHDRS || !e->h.e_shnum) return "the linked file has too many headers";
  e->sh = calloc(e->h.e_shnum, sizeof *e->sh);
  if (!e->sh) return "";
  if (e->h.e_phnum && !read_at(e->fd, e->ph, e->h.e_phnum * sizeof *e->ph, e->h.e_phoff)) return "";
  return read_at(e->fd, e->sh, e->h.e_shnum * sizeof *e->sh, e->h.e_shoff) ? NULL : "";
}
static const char *find_section(struct elf *e)
{
  e->section = -1;
  for (int i = 0; i < e->h.e_shnum; i++) {
    if (!(e->sh[i].sh_flags & LARGE)) continue;
    if (e->section >= 0) return "there are two large sections";
    e->section = i;
  }
  if (e->section < 0 || e->sh[e->section].sh_size != LINK_PLACEHOLDER) return "the placeholder of the weights is not there, or not alone in its section";
  return NULL;
}
/* The section must be alone in the segment of the highest address: then growing it moves nothing. */
static const char *find_segment(struct elf *e)
{
  int last = -1;
  for (int i = 0; i < e->h.e_phnum; i++)
    if (e->ph[i].p_type == PT_LOAD && (last < 0 || e->ph[i].p_vaddr > e->ph[last].p_vaddr)) last = i;
  e->segment = last;
  if (last < 0 || e->ph[last].p_flags != PF_R || e->ph[last].p_vaddr != e->sh[e->section].sh_addr || e->ph[last].p_memsz != LINK_PLACEHOLDER)
    return "the placeholder of the weights is not alone in the last segment";
  return NULL;
}
/* Weights whose address and place in the file agree to 2 MiB can be mapped by huge pages, where the page cache holds them in such (measured on ext4 of Linux 6.18: 4 % of
 * a network that streams its weights). The linker script puts the segment a little beyond what precedes it, so that the hole in the file is small; where it is
 * not, pages have to do. */
static int64_t huge_offset(const struct elf *e, int64_t offset, uint64_t bytes)
{
  int64_t at = offset + (int64_t)((e->ph[e->segment].p_vaddr - (uint64_t)offset) % HUGE);
  return bytes < 2 * HUGE || at - offset > GAP ? 0 : at;
}
const char *link_elf_attach(int fd, uint64_t bytes, int64_t *offset)
{
  struct elf e = { .fd = fd };
  const char *why = load(&e);
  if (!why) why = find_section(&e);
  if (!why && e.h.e_type != ET_REL) why = find_segment(&e);
  off_t end = lseek(fd, 0, SEEK_END);
  if (!why && end < 0) why = "";
  *offset = (end + PAGE - 1) / PAGE * PAGE;
  int64_t huge = !why && e.h.e_type != ET_REL ? huge_offset(&e, *offset, bytes) : 0;
  if (huge) *offset = huge;
  if (!why) {
    Elf64_Shdr *s = &e.sh[e.section];
    s->sh_offset = (uint64_t)*offset;
    s->sh_size = bytes;
    if (!write_at(fd, s, sizeof *s, e.h.e_shoff + (uint64_t)e.section * sizeof *s)) why = "";
  }
  if (!why && e.h.e_type != ET_REL) {
    Elf64_Phdr *p = &e.ph[e.segment];
    p->p_offset = (uint64_t)*offset;
    p->p_filesz = p->p_memsz = bytes;
    if (huge) p->p_align = HUGE;
    if (!write_at(fd, p, sizeof *p, e.h.e_phoff + (uint64_t)e.segment * sizeof *p)) why = "";
  }
  free(e.sh);
  return why;
}
