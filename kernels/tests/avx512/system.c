// Runs one static Linux program of one thread, which GRUB loads as a module, on a bare processor.
//
// Answers the few system calls that the Rust test harness makes. Output goes to the first serial
// port. Memory is mapped to itself:
//   0x00100000  this, then the module
//   0x10000000  the program (linked there), then what it takes by brk
//   0x1f000000  its stack, downwards from 0x1fff0000
//   0x20000000  what it takes by mmap, up to 0x3f000000

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

enum {
    BREAK_END = 0x1f000000,
    STACK_END = 0x1fff0000,
    MAPS = 0x20000000,
    MAPS_END = 0x3f000000,
    SERIAL = 0x3f8,
    RANDOM_FILE = 5,
};

void system_call_entry(void);
void enter(u64 stack, u64 address);
extern const i64 gate_addresses[];
extern u64 gates[];

static void out_byte(u16 port, u8 value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }

static u8 in_byte(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void write_register(u32 number, u64 value) {
    asm volatile("wrmsr" ::"c"(number), "a"((u32)value), "d"((u32)(value >> 32)));
}

void *memset(void *to, int byte, u64 count) {
    void *at = to;
    asm volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(byte) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, u64 count) {
    void *at = to;
    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count)::"memory");
    return to;
}

static void print_bytes(const char *bytes, u64 count) {
    for (u64 i = 0; i < count; i++) {
        while (!(in_byte(SERIAL + 5) & 0x20)) {
        }
        out_byte(SERIAL, bytes[i]);
    }
}

static void print(const char *text) {
    u64 count = 0;
    while (text[count]) count++;
    print_bytes(text, count);
}

static void print_hex(u64 value) {
    for (int shift = 60; shift >= 0; shift -= 4) print_bytes(&"0123456789abcdef"[value >> shift & 15], 1);
    print(" ");
}

// Writes the emulator's word of command to its port, upon which it ends.
static void halt(const char *why) {
    print(why);
    while (!(in_byte(SERIAL + 5) & 0x40)) {
    }
    for (const char *c = "Shutdown"; *c; c++) out_byte(0x8900, *c);
    for (;;) asm volatile("cli; hlt");
}

void fault(const u64 *frame) {
    u64 address;
    asm volatile("mov %%cr2, %0" : "=r"(address));
    print("\nfault, error, instruction, address: ");
    print_hex(frame[0]);
    print_hex(frame[1]);
    print_hex(frame[2]);
    print_hex(address);
    halt("\nENDED BY A FAULT\n");
}

static u64 break_start, break_end, maps_end = MAPS;

static i64 take(u64 bytes) {
    u64 start = maps_end;
    maps_end += (bytes + 4095) & ~4095ul;
    if (maps_end > MAPS_END) halt("\nENDED FOR LACK OF MEMORY\n");
    return start;
}

static i64 set_break(u64 end) {
    if (end >= break_start && end < BREAK_END) {
        if (end > break_end) memset((void *)break_end, 0, end - break_end);
        break_end = end;
    }
    return break_end;
}

static i64 fill_random(u8 *to, u64 count) {
    static u64 state = 88172645463325252ul;
    for (u64 i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        to[i] = state >> 24;
    }
    return count;
}

// /dev/random and /dev/urandom are all the files that there are.
static i64 open_file(const char *path) {
    const char *random = "/dev/";
    while (*random && *path == *random) path++, random++;
    return *random || (*path != 'u' && *path != 'r') ? -2 : RANDOM_FILE;
}

i64 system_call(u64 a, u64 b, u64 c, u64 d, u64 e, u64 number) {
    (void)e;
    switch (number) {
    case 0: // read
        return a == RANDOM_FILE ? fill_random((u8 *)b, c) : 0;
    case 1: // write
        print_bytes((const char *)b, c);
        return c;
    case 2: // open
        return open_file((const char *)a);
    case 257: // openat
        return open_file((const char *)b);
    case 7: // poll: each is ready for what it is asked for
        for (u64 i = 0; i < b; i++) ((u16 *)a)[4 * i + 3] = ((u16 *)a)[4 * i + 2] & 1;
        return b > 0 ? ((u16 *)a)[3] : 0;
    case 9: // mmap, of no file
        return d & 0x20 ? take(b) : -19;
    case 12: // brk
        return set_break(a);
    case 20: { // writev
        struct { const char *bytes; u64 count; } *pieces = (void *)b;
        u64 total = 0;
        for (u64 i = 0; i < c; i++) {
            print_bytes(pieces[i].bytes, pieces[i].count);
            total += pieces[i].count;
        }
        return total;
    }
    case 39: case 186: case 218: // getpid, gettid, set_tid_address
        return 1;
    case 56: case 435: // clone, clone3: the harness then runs tests one after another
        return -11;
    case 158: // arch_prctl: the thread's own memory
        if (a != 0x1002) return -22;
        write_register(0xC0000100, b);
        return 0;
    case 228: { // clock_gettime, a thousand million ticks a second
        u32 low, high;
        asm volatile("rdtsc" : "=a"(low), "=d"(high));
        u64 ticks = (u64)high << 32 | low;
        ((u64 *)b)[0] = ticks / 1000000000;
        ((u64 *)b)[1] = ticks % 1000000000;
        return 0;
    }
    case 318: // getrandom
        return fill_random((u8 *)a, b);
    case 60: case 231: // exit, exit_group
        halt(a == 0 ? "\nENDED WELL\n" : "\nENDED WITH AN ERROR\n");
    case 62: case 234: // kill, tgkill
        halt("\nENDED BY A SIGNAL\n");
    case 4: case 21: case 89: case 267: // stat, access, readlink, readlinkat
        return -2;
    case 16: // ioctl
        return -25;
    case 3: case 10: case 11: case 13: case 14: case 24: case 28: case 131: case 202: case 273:
        // close, mprotect, munmap, signals, sched_yield, madvise, futex, set_robust_list
        return 0;
    case 102: case 104: case 107: case 108: // users and groups
        return 0;
    default:
        return -38;
    }
}

struct boot { u32 flags, low, high, device, command, modules, first_module; };
struct module { u32 start, end, command; };
struct file {
    u8 identity[16];
    u16 type, machine;
    u32 version;
    u64 entry, segments, sections;
    u32 flags;
    u16 size, segment_size, segment_count;
};
struct segment { u32 type, flags; u64 offset, address, physical, in_file, in_memory, alignment; };

// Loads the program; where its table of segments is then.
static u64 load(const struct file *file) {
    const u8 *bytes = (const u8 *)file;
    const struct segment *segments = (const void *)(bytes + file->segments);
    u64 table = 0, end = 0;
    for (int i = 0; i < file->segment_count; i++) {
        struct segment s = segments[i];
        if (s.type != 1) continue;
        memset((void *)s.address, 0, s.in_memory);
        memcpy((void *)s.address, bytes + s.offset, s.in_file);
        if (s.offset == 0) table = s.address + file->segments;
        if (s.address + s.in_memory > end) end = s.address + s.in_memory;
    }
    break_start = break_end = (end + 0xfffff) & ~0xffffful;
    return table;
}

// Cuts the command line into arguments and, where there is a `=` but no `-` first, variables.
static u64 *put_words(u64 *stack, char *line) {
    static u64 arguments[64], variables[64];
    u64 argument_count = 0, variable_count = 0;
    while (*line) {
        char *word = line;
        int is_variable = 0;
        for (; *line && *line != ' '; line++) is_variable |= *line == '=' && *word != '-';
        if (*line) *line++ = 0;
        if (is_variable) variables[variable_count++] = (u64)word;
        else arguments[argument_count++] = (u64)word;
    }
    *stack++ = argument_count;
    for (u64 i = 0; i < argument_count; i++) *stack++ = arguments[i];
    *stack++ = 0;
    for (u64 i = 0; i < variable_count; i++) *stack++ = variables[i];
    *stack++ = 0;
    return stack;
}

void run(const struct boot *boot) {
    out_byte(SERIAL + 3, 3); // eight bits
    for (const i64 *g = gate_addresses; *g >= 0; g += 2) {
        u64 address = g[1];
        gates[2 * g[0]] = (address & 0xffff) | 8ul << 16 | 0x8eul << 40 | (address >> 16 & 0xffff) << 48;
        gates[2 * g[0] + 1] = address >> 32;
    }
    write_register(0xC0000081, 8ul << 32);
    write_register(0xC0000082, (u64)system_call_entry);
    write_register(0xC0000084, 0x200);

    const struct module *module = (const void *)(u64)boot->first_module;
    const struct file *file = (const void *)(u64)module->start;
    u64 table = load(file);
    u64 *start = (u64 *)STACK_END - 256;
    u64 *stack = put_words(start, (char *)(u64)module->command);
    static u8 random[16];
    fill_random(random, sizeof random);
    u64 auxiliary[] = {3, table, 4, file->segment_size, 5, file->segment_count, 6, 4096,
                       9, file->entry, 23, 0, 25, (u64)random, 0, 0};
    memcpy(stack, auxiliary, sizeof auxiliary);
    enter((u64)start, file->entry);
}
