; tests/boot/testdev.asm -- what kernels of test suites do with the devices made for them: the echo
; port, the MMIO region and the interrupt lines of pc-testdev, the memory size from fw_cfg, a report
; on COM1 and a status through isa-debug-exit.  A multiboot ELF.
        bits    32
        section .text
        global  entry
        align   4
header: dd      0x1badb002, 3, -(0x1badb002 + 3)

%macro OUTB 2
        mov     dx, %1
        mov     al, %2
        out     dx, al
%endmacro

entry:  mov     esp, stack
        lgdt    [gdtr]
        jmp     8:.cs
.cs:    mov     ax, 16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esi, hello
        call    print

        mov     bl, 'e'                         ; the echo port, in every size
        mov     dx, 0xe0
        mov     eax, 0x12345678
        out     dx, eax
        xor     eax, eax
        in      eax, dx
        cmp     eax, 0x12345678
        jne     bad
        inc     dx
        in      al, dx
        cmp     al, 0x56
        jne     bad
        mov     dx, 0xe8                        ; the same bytes, one by one
        in      eax, dx
        cmp     eax, 0x12345678
        jne     bad

        mov     bl, 'm'                         ; memory behind MMIO, string accesses and a lock
        mov     edi, 0xff000000
        mov     ecx, 0x4000
        mov     eax, 0xa5a5a5a5
        rep     stosd
        lock inc dword [0xff000100]
        cmp     dword [0xff000100], 0xa5a5a5a6
        jne     bad
        cmp     byte [0xff00ffff], 0xa5
        jne     bad
        mov     eax, 0x200000                   ; forget what is cached of a page: no effect to be seen
        mov     dx, 0xe4
        out     dx, eax

        mov     bl, 'f'                         ; fw_cfg: item 3 is the memory size
        mov     dx, 0x510
        mov     ax, 3
        out     dx, ax
        inc     dx
        xor     eax, eax
        mov     ecx, 4
.size:  in      al, dx
        ror     eax, 8
        loop    .size
        cmp     eax, 48 << 20
        jne     bad

        mov     bl, 'i'                         ; each ISA interrupt line, by way of the 8259s
        call    set_up_interrupts
        mov     esi, lines
.next:  movzx   ecx, byte [esi]
        inc     esi
        cmp     cl, 0xff
        je      .done
        mov     dword [seen], 0
        lea     edx, [ecx + 0x2000]
        mov     al, 1
        out     dx, al
        sti
        nop
        nop
        cli
        lea     edx, [ecx + 0x2000]
        xor     al, al
        out     dx, al
        mov     eax, 1
        shl     eax, cl
        cmp     [seen], eax
        jne     bad
        jmp     .next
.done:  mov     esi, good
        call    print
        mov     eax, 0
        jmp     exit

bad:    mov     [what], bl
        mov     esi, wrong
        call    print
        mov     eax, 1
exit:   mov     dx, 0xf4
        out     dx, eax
        hlt

print:  mov     dx, 0x3f8
.next:  lodsb
        test    al, al
        jz      .end
        out     dx, al
        jmp     .next
.end:   ret

; 8259s at vectors 0x20 and 0x28, nothing masked but the timer; gates to 16 handlers.
set_up_interrupts:
        OUTB    0x20, 0x11
        OUTB    0x21, 0x20
        OUTB    0x21, 0x04
        OUTB    0x21, 0x01
        OUTB    0xa0, 0x11
        OUTB    0xa1, 0x28
        OUTB    0xa1, 0x02
        OUTB    0xa1, 0x01
        OUTB    0x21, 0x01
        OUTB    0xa1, 0x00
        mov     edi, idt + 0x20 * 8
        mov     eax, handlers
        mov     ecx, 16
.gate:  mov     [edi], ax
        mov     word [edi + 2], 8
        mov     word [edi + 4], 0x8e00
        mov     edx, eax
        shr     edx, 16
        mov     [edi + 6], dx
        add     eax, 8
        add     edi, 8
        loop    .gate
        lidt    [idtr]
        ret

        align   8
handlers:
%assign n 0
%rep 16
        push    byte n
        jmp     strict near handler
        align   8
%assign n n + 1
%endrep

handler:
        push    eax
        push    ecx
        push    edx
        mov     ecx, [esp + 12]
        mov     eax, 1
        shl     eax, cl
        or      [seen], eax
        lea     edx, [ecx + 0x2000]             ; lower the line before the end of interrupt
        xor     al, al
        out     dx, al
        mov     al, 0x20
        cmp     ecx, 8
        jb      .first
        out     0xa0, al
.first: out     0x20, al
        pop     edx
        pop     ecx
        pop     eax
        add     esp, 4
        iret

        section .data
hello:  db      "testdev:", 0
good:   db      " good", 10, 0
wrong:  db      " bad "
what:   db      "?", 10, 0
lines:  db      1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff
        align   8
gdt:    dq      0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:   dw      23
        dd      gdt
idtr:   dw      0x30 * 8 - 1
        dd      idt
        section .bss
        align   16
seen:   resd    1
idt:    resb    0x30 * 8
        resb    4096
stack:
