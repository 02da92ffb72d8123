; tests/guests/breakpoints.asm -- DR0-DR3: instruction breakpoints with RF, data breakpoints of
; every length and kind, DR6, DR7.GD, task-local enables, in code that is hot already.
; [SDM 3B 18.2 "Debug Registers", 18.3 "Debug Exceptions"]
%include "common.inc"

L0 equ 1
G0 equ 2
L1 equ 4
L2 equ 0x10
L3 equ 0x40
GD equ 0x2000
EXEC equ 0
WRITE equ 1
ACCESS equ 3
LEN1 equ 0
LEN2 equ 4
LEN4 equ 12
%define FIELD(n, what) ((what) << (16 + 4 * (n)))
BAD_BITS equ 0xe00f                     ; B0-B3, BD, BS, BT

hits    equ vars

%macro DR7 1
        mov     eax, %1
        mov     dr7, eax
%endmacro

; No exception in %1..
%macro SILENT 1+
        mov     dword [ex_count], 0
        %1
        EQ      [ex_count], 0
%endmacro

; DR6 == %1 (of the causes); then cleared
%macro DR6 1
        push    eax
        mov     eax, dr6
        and     eax, BAD_BITS
        EQ      eax, %1
        xor     eax, eax
        mov     dr6, eax
        pop     eax
%endmacro

main:   fninit
        xor     eax, eax
        mov     dr6, eax
        DR7     0
        ; what reads back: fixed ones [SDM 3B 18.2.3, 18.2.4]
        mov     eax, dr6
        EQ      eax, 0xffff0ff0
        mov     eax, dr7
        EQ      eax, 0x400
        mov     eax, 0x12345678
        mov     dr2, eax
        mov     ebx, dr2
        EQ      ebx, 0x12345678
        ; without CR4.DE, DR4 and DR5 are DR6 and DR7; with it they are #UD
        mov     eax, dr4
        EQ      eax, 0xffff0ff0
        mov     eax, dr5
        EQ      eax, 0x400
        mov     eax, cr4
        or      eax, CR4_DE
        mov     cr4, eax
        FAULTS  UD, 0, mov eax, dr4
        FAULTS  UD, 0, mov dr5, eax
        mov     eax, cr4
        and     eax, ~CR4_DE
        mov     cr4, eax

        ; ---- an instruction breakpoint: a fault before the instruction ----
        mov     ecx, 50                 ; the loop is hot before
        xor     ebx, ebx
.warm:  call    target
        loop    .warm
        EQ      ebx, 50
        mov     eax, target
        mov     dr0, eax
        DR7     L0 | FIELD(0, EXEC | LEN1)
        mov     dword [ex_hook], count_hook
        mov     dword [hits], 0
        mov     ecx, 10
        xor     ebx, ebx
.hits:  call    target                  ; the handler returns with RF, which IRET restores
        loop    .hits
        EQ      ebx, 10
        EQ      [hits], 10
        EQ      [ex_vector], DB_
        EQ      [ex_eip], target
        BITS_EQ [ex_eflags], F_TF | F_RF, 0     ; the handler's hook sets it
        DR6     1
        ; RF lasts for one instruction
        mov     dword [hits], 0
        mov     eax, target.inc
        mov     dr1, eax
        DR7     L0 | L1
        xor     ebx, ebx
        call    target
        EQ      [hits], 2
        DR6     3
        EQ      ebx, 1
        ; two registers, one address: both are reported
        mov     eax, target
        mov     dr1, eax
        mov     dword [hits], 0
        call    target
        EQ      [hits], 1
        DR6     3

        ; the first byte counts only
        mov     eax, target + 1
        mov     dr0, eax
        mov     dr1, eax
        mov     dword [hits], 0
        call    target
        EQ      [hits], 0
        ; disabled: none
        mov     eax, target
        mov     dr0, eax
        DR7     0
        call    target
        EQ      [hits], 0
        ; global enable
        DR7     G0
        call    target
        EQ      [hits], 1
        DR6     1
        ; RF pushed by faults: the handler's frame of a fault at a breakpoint has it
        mov     dword [ex_hook], 0
        mov     eax, .ud
        mov     dr0, eax
        mov     dword [ex_hook], ud_hook
        mov     dword [hits], 0
        DR7     L0
.ud:    ud2
        EQ      [hits], 0x11            ; one #DB, one #UD
        DR7     0
        mov     dword [ex_hook], 0
        DR6     1
        ; on a REP: before it starts only; with RF it runs through
        mov     eax, .rep
        mov     dr0, eax
        mov     dword [ex_hook], count_hook
        mov     dword [hits], 0
        DR7     L0
        mov     ecx, 5
        mov     edi, DATA
        xor     eax, eax
.rep:   rep     stosb
        EQ      [hits], 1
        EQ      ecx, 0
        DR6     1
        ; in a loop of one block, in the middle
        mov     eax, .mid
        mov     dr0, eax
        mov     dword [hits], 0
        mov     ecx, 20
        xor     ebx, ebx
.loop:  inc     ebx
.mid:   add     ebx, 2
        loop    .loop
        EQ      ebx, 60
        EQ      [hits], 20
        DR6     1
        DR7     0
        mov     dword [ex_hook], 0

        ; ---- data breakpoints: traps behind the instruction ----
        mov     eax, DATA + 4
        mov     dr3, eax
        DR7     L3 | FIELD(3, WRITE | LEN4)
        mov     eax, 0x77777777
        TRAPS   DB_, mov [DATA + 4], eax
        EQ      [DATA + 4], 0x77777777
        BITS_EQ [ex_eflags], F_RF, 0
        DR6     8
        TRAPS   DB_, mov [DATA + 7], al
        DR6     8
        TRAPS   DB_, mov [DATA + 1], eax                ; overlaps by one byte
        DR6     8
        SILENT  mov [DATA], eax
        SILENT  mov [DATA + 8], eax
        SILENT  mov eax, [DATA + 4]                     ; a read
        TRAPS   DB_, inc dword [DATA + 4]
        TRAPS   DB_, xchg [DATA + 6], al
        TRAPS   DB_, fnstcw [DATA + 3]
        DR6     8
        ; reads and writes
        DR7     L3 | FIELD(3, ACCESS | LEN4)
        TRAPS   DB_, mov eax, [DATA + 4]
        TRAPS   DB_, cmp al, [DATA + 5]
        TRAPS   DB_, push dword [DATA + 4]
        add     esp, 4
        TRAPS   DB_, mov [DATA + 4], eax
        TRAPS   DB_, fld dword [DATA + 2]
        TRAPS   DB_, fnstsw [DATA + 6]
        SILENT  mov ax, [DATA + 2]
        SILENT  mov al, [DATA + 8]
        DR6     8
        ; lengths 1, 2: the address is aligned down to the length
        mov     eax, DATA + 0x11
        mov     dr1, eax
        DR7     L1 | FIELD(1, WRITE | LEN1)
        SILENT  mov [DATA + 0x10], al
        TRAPS   DB_, mov [DATA + 0x11], al
        SILENT  mov [DATA + 0x12], al
        DR6     2
        DR7     L1 | FIELD(1, WRITE | LEN2)             ; 0x10, 0x11
        TRAPS   DB_, mov [DATA + 0x10], al
        TRAPS   DB_, mov [DATA + 0x11], al
        SILENT  mov [DATA + 0x12], al
        DR6     2
        ; the stack
        lea     eax, [esp - 4]
        mov     dr1, eax
        DR7     L1 | FIELD(1, WRITE | LEN4)
        mov     dword [ex_resume], .pushed
        mov     dword [ex_count], 0
        push    eax
        ; the handler's frame goes below it: no other hit
.pushed: EQ     [ex_count], 1
        EQ      [ex_eip], .pushed
        DR7     0
        pop     eax
        DR6     2
        ; a page-crossing store
        mov     eax, DATA + 0x1000
        mov     dr1, eax
        DR7     L1 | FIELD(1, WRITE | LEN1)
        TRAPS   DB_, mov [DATA + 0xffe], eax
        SILENT  mov [DATA + 0xffc], eax
        DR6     2
        ; REP MOVSB: the trap comes behind the iteration that hits
        mov     eax, DATA + 0x802
        mov     dr1, eax
        mov     esi, DATA + 0x100
        mov     edi, DATA + 0x800
        mov     ecx, 5
        mov     dword [ex_hook], rep_hook
        mov     dword [hits], 0
.movs:  rep     movsb
        mov     dword [ex_hook], 0
        EQ      [hits], 1
        EQ      [ex_regs + FR_ECX], 2
        EQ      [ex_eip], .movs
        DR6     2
        ; a hot loop that stores, then is watched
        mov     ecx, 40
        mov     dword [ex_hook], count_trap_hook
        mov     dword [hits], 0
.watch: mov     [DATA + 0x802], ecx
        cmp     ecx, 20
        jne     .next
        DR7     0
.next:  loop    .watch
        EQ      [hits], 21
        mov     dword [ex_hook], 0
        DR6     2
        ; after MOV SS the trap waits for the next instruction [SDM 3A 6.8.3]
        mov     dword [DATA + 0x20], DATA32
        mov     eax, DATA + 0x20
        mov     dr1, eax
        DR7     L1 | FIELD(1, ACCESS | LEN4)
        mov     dword [ex_resume], .after_ss
        mov     dword [ex_count], 0
        mov     ss, [DATA + 0x20]
        nop
.after_ss:
        EQ      [ex_count], 1
        EQ      [ex_eip], .after_ss
        DR7     0
        DR6     2
        ; code and data breakpoint in one instruction: fault first, then the trap
        mov     eax, .both
        mov     dr0, eax
        mov     eax, DATA + 0x30
        mov     dr1, eax
        mov     dword [hits], 0
        mov     dword [ex_hook], count_trap_hook
        DR7     L0 | L1 | FIELD(1, WRITE | LEN4)
.both:  mov     [DATA + 0x30], eax
        DR7     0
        mov     dword [ex_hook], 0
        EQ      [hits], 2
        DR6     3
        ; with TF: both causes in one trap
        mov     eax, DATA + 0x30
        mov     dr1, eax
        DR7     L1 | FIELD(1, WRITE | LEN4)
        mov     dword [ex_hook], tf_hook
        push    dword F_TF | 2
        popfd
        mov     [DATA + 0x30], eax
        mov     dword [ex_hook], 0
        DR7     0
        DR6     0x4002

        ; ---- GD: any MOV DR faults, the flag is cleared for the handler ----
        mov     eax, GD
        mov     dr7, eax
        FAULTS  DB_, 0, mov eax, dr7
        mov     eax, dr6
        BITS_EQ eax, BAD_BITS, 0x2000
        mov     eax, dr7
        BITS_EQ eax, GD, 0
        DR6     0x2000
        ; CPL 3 may not
        USER
        FAULTS  GP, 0, mov eax, dr0
        FAULTS  GP, 0, mov dr6, eax
        SUPERVISOR
        ret

target: mov     edx, edx
.inc:   inc     ebx
        ret

; an instruction breakpoint: count, and let it run
count_hook:
        cmp     dword [ex_vector], DB_
        je      .ok
        FAIL
.ok:    inc     dword [hits]
        or      dword [ebp + FR_EFLAGS], F_RF
        ret

; code or data: RF does no harm to a trap
count_trap_hook equ count_hook

rep_hook:
        inc     dword [hits]
        ret

tf_hook:
        and     dword [ebp + FR_EFLAGS], ~F_TF
        ret

; #DB: count 1, go on with RF; #UD: count 0x10, RF must have come in the frame; skip it
ud_hook:
        cmp     dword [ex_vector], DB_
        jne     .ud
        inc     dword [hits]
        or      dword [ebp + FR_EFLAGS], F_RF
        ret
.ud:    test    dword [ebp + FR_EFLAGS], F_RF
        jnz     .ok
        FAIL
.ok:    add     dword [hits], 0x10
        add     dword [ebp + FR_EIP], 2
        ret
