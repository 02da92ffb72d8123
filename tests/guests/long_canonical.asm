; tests/guests/long_canonical.asm -- addresses that are not canonical: #GP or #SS by segment, at
; every kind of operand; targets of transfers, with nothing changed before the fault; code that runs
; up to the end of the canonical half; what ignores addresses.
; [SDM 1 3.3.7.1 "Canonical Addressing"], the exception lists of the instructions
%include "long.inc"

BAD     equ 0x800000000000
BAD2    equ 0xffff7ffffffffff8
TOP     equ 0x7ffffffff000      ; the last page of the lower half, mapped onto TOP_PAGE
TOP_PAGE equ 0x210000
BOTTOM  equ 0xffff800000000000  ; the first one of the upper half, onto the same

main64:
        call    map_ends
        CR_SET  cr4, CR4_OSFXSR | CR4_FSGSBASE
        mov     r13d, 4
.loop:
        mov     rbx, BAD
        mov     rsi, 0x1234567890abcdef
        mov     r8, BAD2
        ; ---- loads, stores, read-modify-write ----
        FAULTS  GP, 0, mov eax, [rbx]
        FAULTS  GP, 0, mov rax, [r8]
        FAULTS  GP, 0, mov [rbx + 8], rax
        FAULTS  GP, 0, mov byte [r8], 1
        FAULTS  GP, 0, add [rbx], rax
        FAULTS  GP, 0, lock xadd [rbx], rax
        FAULTS  GP, 0, cmpxchg [rsi], rax
        FAULTS  GP, 0, inc byte [rsi]
        FAULTS  GP, 0, bts [rbx], eax
        mov     al, 1
        FAULTS  GP, 0, xlatb
        FAULTS  GP, 0, fld qword [rbx]
        FAULTS  GP, 0, movups xmm0, [rbx]
        FAULTS  GP, 0, movaps [rbx], xmm0
        FAULTS  GP, 0, fxsave [rbx]
        FAULTS  GP, 0, sgdt [rbx]
        FAULTS  GP, 0, lidt [rbx]
        FAULTS  GP, 0, clflush [rbx]
        FAULTS  GP, 0, mov rax, [qword 0x1122334455667788]
        FAULTS  GP, 0, mov rax, [rbx + rbx]
        FAULTS  GP, 0, jmp [rbx]
        FAULTS  GP, 0, call [rbx]
        FAULTS  GP, 0, push qword [rbx]
        FAULTS  GP, 0, movsx rax, word [rbx]
        FAULTS  GP, 0, imul rax, [rbx], 3
        FAULTS  GP, 0, div qword [rbx]
        EQ64    rsi, 0x1234567890abcdef
        ; SS: RBP and RSP as base, all implicit stack references
        mov     rbp, BAD
        mov     r12, rsp
        FAULTS  SS_, 0, mov eax, [rbp]
        FAULTS  SS_, 0, mov [rbp + 16], rax
        FAULTS  SS_, 0, inc dword [rbp]
        FAULTS  GP, 0, mov eax, [rbx + rbp]             ; as index it is no stack reference
        FAULTS  SS_, 0, mov eax, [rbp + rbx - 8]
        FAULTS  GP, 0, gs mov eax, [rbp]
        FAULTS  GP, 0, fs mov [rbp], eax
        FAULTS  SS_, 0, leave
        EQ64    rsp, r12
        EQ64    rbp, rbx
        jmp     .stack
.ok:    ; ---- code ----
        FAULTS  GP, 0, jmp rbx
        FAULTS  GP, 0, call rbx
        EQ64    rsp, r12
        push    rbx
        mov     r11, rsp
        FAULTS  GP, 0, ret
        EQ64    rsp, r11
        FAULTS  GP, 0, ret 16
        EQ64    rsp, r11
        mov     qword [DATA], rbx
        FAULTS  GP, 0, jmp [DATA]
        FAULTS  GP, 0, call [DATA]
        EQ64    rsp, r11
        mov     word [DATA + 8], CODE64
        FAULTS  GP, 0, o64 jmp far [DATA]
        FAULTS  GP, 0, o64 call far [DATA]
        EQ64    rsp, r11
        push    CODE64
        push    rbx
        FAULTS  GP, 0, o64 retf
        add     rsp, 16
        push    DATA64
        push    r12
        push    2
        push    CODE64
        push    rbx
        mov     r11, rsp
        FAULTS  GP, 0, iretq
        EQ64    rsp, r11
        add     rsp, 40
        push    USER_DATA64
        push    USER_STACK
        push    2
        push    USER_CODE64
        push    r8
        mov     r11, rsp
        FAULTS  GP, 0, iretq                            ; at CPL 0, too
        EQ64    rsp, r11
        EQ64    [lx_cs], CODE64
        mov     rsp, r12
        ; a stack pointer that is not canonical may be returned to
        push    DATA64
        push    rbx
        push    2
        push    CODE64
        push    .bad_stack
        iretq
.bad_stack:
        cmp     rsp, rbx
        mov     rsp, r12
        je      .bad_ok
        FAIL
.bad_ok:
        ; ---- strings: what was done counts ----
        mov     esi, DATA
        mov     rdi, TOP + 0xff0
        mov     ecx, 100
        FAULTS  GP, 0, rep movsb
        EQ64    rcx, 84
        EQ64    rdi, BAD
        EQ64    rsi, DATA + 16
        mov     rsi, TOP + 0xff0
        mov     edi, DATA
        mov     ecx, 100
        FAULTS  GP, 0, rep movsd
        EQ64    rcx, 96
        EQ64    rsi, BAD
        std
        mov     rdi, BOTTOM + 15
        mov     rcx, 0x100000000
        FAULTS  GP, 0, rep stosb
        EQ64    rcx, 0x100000000 - 16
        EQ64    rdi, BOTTOM - 1
        cld
        mov     rdi, BAD
        mov     ecx, 5
        FAULTS  GP, 0, repne scasb
        FAULTS  GP, 0, repe cmpsq
        EQ64    rcx, 5
        FAULTS  GP, 0, stosq
        mov     rsi, BAD
        FAULTS  GP, 0, lodsb
        FAULTS  GP, 0, rep lodsq
        mov     edi, DATA
        FAULTS  GP, 0, movsb
        EQ64    rdi, DATA
        xor     ecx, ecx
        rep     movsb                                   ; nothing to do: nothing to fault
        rep     stosq
        ; ---- across the end: the last byte decides ----
        mov     rbx, TOP + 0xffc
        mov     eax, [rbx]
        FAULTS  GP, 0, mov rax, [rbx]
        FAULTS  GP, 0, mov eax, [rbx + 1]
        FAULTS  GP, 0, mov [rbx + 2], eax
        mov     rbp, rbx
        FAULTS  SS_, 0, mov [rbp + 3], ax
        FAULTS  GP, 0, movups xmm0, [rbx - 8]
        movups  xmm0, [rbx - 12]
        ; ---- bases count ----
        mov     rax, 0x7ffffffff000
        wrfsbase rax
        mov     ebx, 0x1000
        FAULTS  GP, 0, fs mov eax, [rbx]
        FAULTS  GP, 0, fs mov eax, [rbx - 2]
        fs mov  eax, [rbx - 4]
        mov     rax, 0xffff800000000000
        wrfsbase rax
        mov     rbx, 0x0000800000000010                 ; not canonical, but the sum is
        fs mov  eax, [rbx]
        xor     eax, eax
        wrfsbase rax
        ; ---- no access, no fault ----
        mov     rbx, BAD
        lea     rax, [rbx + 5]
        invlpg  [rbx]
        invlpg  [rbp + rbx]
        prefetcht0 [rbx]
        nop     dword [rbx]
        ; ---- straight code over the end: the fetch faults behind the last instruction ----
        mov     dword [TOP_PAGE + 0xffc], 0x90909090
        mov     rax, TOP + 0xffc
        TARGET_FAULTS GP, 0, BAD, jmp rax
        ; an instruction that begins before the end
        mov     word [TOP_PAGE + 0xffe], 0x00b8         ; MOV EAX, imm32
        mov     rax, TOP + 0xffe
        TARGET_FAULTS GP, 0, TOP + 0xffe, jmp rax
        mov     word [TOP_PAGE + 0xffe], 0x10eb         ; JMP +16: the jump faults
        mov     rax, TOP + 0xffe
        TARGET_FAULTS GP, 0, TOP + 0xffe, jmp rax
        mov     rax, TOP + 0xff0
        mov     dword [TOP_PAGE + 0xff0], 0x0feb
        TARGET_FAULTS GP, 0, TOP + 0xff0, jmp rax       ; EB 0F: to 0x800000000001
        mov     dword [TOP_PAGE + 0xff0], 0x0eeb        ; to the end itself
        TARGET_FAULTS GP, 0, TOP + 0xff0, jmp rax
        mov     word [TOP_PAGE + 0xffe], 0x050f         ; SYSCALL: RCX is no canonical address
        WRITE_MSR LSTAR, LINEAR(.entry)
        WRITE_MSR STAR, (CODE64 << 32) | ((USER_CODE32 & ~3) << 48)
        WRITE_MSR FMASK, 0
        mov     rax, TOP + 0xffe
        jmp     rax
.entry: EQ64    rcx, BAD
        ; from there backwards: into the hole from above
        mov     word [TOP_PAGE], 0xfdeb                 ; JMP -3
        mov     rax, BOTTOM
        TARGET_FAULTS GP, 0, BOTTOM, jmp rax
        dec     r13d
        jz      .end
        jmp     .loop
.end:   ret

        ; ---- the stack pointer: the recorder needs another stack ----
.stack: SET_GATE64 SS_, CODE64, LINEAR(long_stubs + SS_ * 16), A_INT32, 1
        SET_GATE64 V_FAIL, CODE64, LINEAR(long_fail), A_INT32, 1
        mov     dword [TSS64 + 36], KERNEL_STACK - 0x800
        mov     rsp, rbx
        mov     rsi, DATA
        FAULTS  SS_, 0, pop rax
        FAULTS  SS_, 0, pop qword [rsi]
        FAULTS  SS_, 0, popfq
        FAULTS  SS_, 0, ret
        FAULTS  SS_, 0, o64 retf
        FAULTS  SS_, 0, iretq
        FAULTS  SS_, 0, mov eax, [rsp]
        FAULTS  SS_, 0, add [rsp + 8], rax
        FAULTS  SS_, 0, add [rsp + rbx - 8], rax
        EQ64    rsp, rbx
        add     rsp, 8
        mov     r11, rsp
        FAULTS  SS_, 0, push rax
        FAULTS  SS_, 0, push qword [rsi]
        FAULTS  SS_, 0, push 5
        FAULTS  SS_, 0, push fs
        FAULTS  SS_, 0, pushfq
        FAULTS  SS_, 0, call .stack
        FAULTS  SS_, 0, call rsi
        FAULTS  SS_, 0, call [.far]
        FAULTS  SS_, 0, call far dword [.far]
        FAULTS  SS_, 0, enter 8, 0
        EQ64    rsp, r11
        EQ64    rbp, rbx
        ; INT without a change of stack
        add     rsp, 0x100
        FAULTS  SS_, 0, int 0x41
        add     r11, 0x100
        EQ64    [lx_rsp], r11
        ; at the edge: the first push is in, the next out
        mov     rsp, BOTTOM + 8
        push    rax
        FAULTS  SS_, 0, push rax
        EQ64    rsp, BOTTOM
        mov     rsp, TOP + 0xff8
        pop     rax
        FAULTS  SS_, 0, pop rax
        EQ64    rsp, BAD
        mov     rsp, r12
        RESET_GATE64 SS_
        SET_GATE64 V_FAIL, CODE64, LINEAR(long_fail), A_INT32 | DPL3, 0
        jmp     .ok
align 8
.far:   dd      LINEAR(.far), CODE64

; TOP and BOTTOM
map_ends:
        SET_ENTRY PML4 + 255 * 8, FREE_TABLES | P_ALL, 0
        SET_ENTRY FREE_TABLES + 511 * 8, (FREE_TABLES + 0x1000) | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x1000 + 511 * 8, (FREE_TABLES + 0x2000) | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x2000 + 511 * 8, TOP_PAGE | P_ALL, 0
        SET_ENTRY PML4 + 256 * 8, (FREE_TABLES + 0x3000) | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x3000, (FREE_TABLES + 0x4000) | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x4000, (FREE_TABLES + 0x5000) | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x5000, TOP_PAGE | P_ALL, 0
        SET_ENTRY FREE_TABLES + 0x4000 + 8, (PT + 0x1000) | P_ALL, 0   ; 0x200000..0x3fffff
        ret
