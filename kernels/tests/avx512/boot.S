# From GRUB (multiboot, 32-bit) to long mode with AVX-512, then to `run`; and the way in for system
# calls and faults. All code runs in ring 0, interrupts off, on pages mapped to themselves.

.set MAGIC, 0x1BADB002
.set FLAGS, 3                     # modules on pages, memory map
.section .multiboot, "a"
.align 4
.long MAGIC, FLAGS, -(MAGIC + FLAGS)

.text
.code32
.global start
start:
  cli
  mov $stack_end, %esp
  mov %ebx, %esi                  # what GRUB tells

  mov $level3 + 3, %eax           # 4 GiB in pages of 2 MiB; 3: present, writable
  mov %eax, level4
  mov $level3, %edi
  mov $level2 + 3, %eax
  mov $4, %ecx
1:mov %eax, (%edi)
  add $4096, %eax
  add $8, %edi
  loop 1b
  mov $level2, %edi
  mov $0x83, %eax
  mov $2048, %ecx
2:mov %eax, (%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 2b

  mov %cr4, %eax
  or $0x50620, %eax               # PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE
  mov %eax, %cr4
  mov $level4, %eax
  mov %eax, %cr3
  mov $0xC0000080, %ecx           # EFER: long mode, SYSCALL
  rdmsr
  or $0x101, %eax
  wrmsr
  mov %cr0, %eax
  and $~4, %eax                   # no emulation of the FPU
  or $0x80000002, %eax            # paging, monitored FPU
  mov %eax, %cr0
  lgdt segments_register
  ljmp $8, $long_mode

.code64
long_mode:
  mov $16, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  xor %ecx, %ecx
  xor %edx, %edx
  mov $0xE7, %eax                 # XCR0: x87, SSE, AVX, AVX-512
  xsetbv
  lidt gates_register
  mov $stack_end, %rsp
  mov %esi, %edi
  call run
3:hlt
  jmp 3b

# A system call: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; back to rcx.
.global system_call_entry
system_call_entry:
  mov %rsp, caller_stack
  mov $system_stack_end, %rsp
  push %rcx
  push %r11
  push %rdi
  push %rsi
  push %rdx
  push %r10
  push %r8
  push %r9
  mov %r10, %rcx
  mov %rax, %r9                   # no call that is answered has a sixth argument that matters
  call system_call
  pop %r9
  pop %r8
  pop %r10
  pop %rdx
  pop %rsi
  pop %rdi
  pop %r11
  pop %rcx
  mov caller_stack, %rsp
  jmp *%rcx

# enter(stack, address)
.global enter
enter:
  mov %rdi, %rsp
  xor %edx, %edx
  xor %ebp, %ebp
  jmp *%rsi

# Faults, those without an error code get a zero.
.macro gate number error
gate\number:
  .ifeq \error
  push $0
  .endif
  push $\number
  jmp to_fault
.endm
gate 0 0
gate 3 0
gate 6 0
gate 7 0
gate 8 1
gate 13 1
gate 14 1
gate 17 1
gate 19 0
to_fault:
  mov %rsp, %rdi
  mov $system_stack_end, %rsp
  call fault

.section .rodata
.global gate_addresses
gate_addresses:
  .quad 0, gate0, 3, gate3, 6, gate6, 7, gate7, 8, gate8, 13, gate13, 14, gate14, 17, gate17
  .quad 19, gate19, -1

.data
.align 16
segments:
  .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
segments_register:
  .word 23
  .quad segments
gates_register:
  .word 4095
  .quad gates
caller_stack:
  .quad 0

.bss
.align 4096
level4: .skip 4096
level3: .skip 4096
level2: .skip 4 * 4096
.global gates
gates: .skip 4096
.skip 65536
stack_end:
.skip 65536
system_stack_end:

.section .note.GNU-stack, ""
