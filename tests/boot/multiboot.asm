; tests/boot/multiboot.asm -- a kernel that says on the debug console what its loader told it, and
; ends with isa-debug-exit.  Assembled three ways by multiboot.sh:
;   -f bin   -DFLAT   multiboot by the header's address fields
;   -f elf32          multiboot ELF
;   -f elf32 -DPVH    ELF with a PVH entry note and no multiboot header
        bits    32
%define BASE 0x200000
%ifdef FLAT
        org     BASE
%define FLAGS 0x10003
%else
        section .text
%define FLAGS 3
        global  entry
%endif

start:
%ifndef PVH
        align   4
header: dd      0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
%ifdef FLAT
        dd      header, start, end, bss_end, entry
%endif
%endif

entry:  mov     esp, stack
%ifdef PVH
        mov     edi, ebx
        cmp     dword [edi], 0x336ec578
        jne     bad
        cmp     dword [edi + 48], 2             ; memory map entries
        jb      bad
        mov     esi, [edi + 24]
        call    print                           ; "CMDLINE"
        mov     eax, [edi + 16]                 ; first module: its address and size
        test    eax, eax
        jz      done
        mov     esi, [eax]
        mov     ecx, [eax + 8]
        call    print_bytes
%else
        cmp     eax, 0x2badb002
        jne     bad
        mov     edi, ebx
        mov     eax, [edi]
        and     eax, 0x4d                       ; memory, command line, modules, map
        cmp     eax, 0x4d
        jne     bad
        mov     esi, [edi + 16]
        call    print                           ; "PATH CMDLINE"
        mov     ebp, [edi + 20]
        mov     edi, [edi + 24]
.mods:  test    ebp, ebp
        jz      done
        mov     esi, [edi + 8]
        call    print                           ; the module's text
        mov     esi, [edi]
        mov     ecx, [edi + 4]
        sub     ecx, esi
        call    print_bytes                     ; its contents
        add     edi, 16
        dec     ebp
        jmp     .mods
%endif

done:   mov     eax, cr0                        ; protected mode, no paging; bss is zero
        and     eax, 0x80000001
        cmp     eax, 1
        jne     bad
        cmp     dword [zeroed], 0
        jne     bad
        mov     al, 21                          ; (21 << 1) | 1 = 43
        out     0xf4, al
bad:    mov     al, 99
        out     0xf4, al
        hlt

print:  lodsb
        test    al, al
        jz      newline
        call    put
        jmp     print
print_bytes:
        jecxz   newline
        lodsb
        call    put
        dec     ecx
        jmp     print_bytes
newline:
        mov     al, 10
put:    mov     edx, 0x402
        out     dx, al
        ret

%ifdef PVH
        section .note.Xen note alloc
        dd      4, 4, 18
        db      "Xen", 0
        dd      entry
%endif

%ifdef FLAT
end:
        absolute end
%else
        section .bss
%endif
zeroed: resd    1
        resb    4096
stack:
bss_end:
