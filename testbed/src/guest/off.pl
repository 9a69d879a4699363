# Switches a guest off. The system call itself: halt is not on every machine.
syscall 169, 0xfee1dead, 672274793, 0x4321fedc, 0;
