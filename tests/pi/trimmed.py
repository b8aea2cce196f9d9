"""What the machine's Debian goes without, so that it starts in half a minute under emulation, and not in two."""

from pathlib import Path

KERNEL = "quiet mitigations=off audit=0 apparmor=0 cryptomgr.notests random.trust_cpu=on tsc=reliable"
# Of the devices those that are used.
TRIGGER = """\
[Service]
ExecStart=
ExecStart=-/usr/bin/udevadm trigger --action=add --subsystem-match=virtio --subsystem-match=net \
    --subsystem-match=block --subsystem-match=misc --subsystem-match=dma_heap --subsystem-match=video4linux
"""
SERVICES = """
    e2scrub_reap kmod-static-nodes ldconfig dbus getty@ serial-getty@ modprobe@configfs modprobe@drm modprobe@efi_pstore
    modprobe@fuse systemd-binfmt systemd-firstboot systemd-hibernate-clear systemd-hwdb-update
    systemd-journal-catalog-update systemd-journal-flush systemd-logind systemd-machine-id-commit systemd-modules-load
    systemd-network-generator systemd-networkd systemd-networkd-persistent-storage systemd-networkd-wait-online
    systemd-pcrmachine systemd-pcrphase systemd-pcrphase-sysinit systemd-pstore systemd-random-seed
    systemd-remount-fs systemd-sysctl systemd-sysusers systemd-tmpfiles-setup-dev systemd-tmpfiles-setup-dev-early
    systemd-tpm2-setup systemd-tpm2-setup-early systemd-udev-load-credentials systemd-update-done
"""
OTHERS = """
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
    systemd-tmpfiles-clean.timer dbus.socket systemd-creds.socket systemd-hostnamed.socket systemd-initctl.socket
    systemd-networkd.socket systemd-rfkill.socket systemd-sysext.socket systemd-ask-password-console.path
    systemd-ask-password-wall.path dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount
    getty.target
"""
GENERATORS = "debug fstab getty gpt-auto hibernate-resume rc-local run ssh system-update sysv tpm2"
MODULES = """
    kvm kvm_amd kvm_intel ccp cfg80211 psmouse evdev i2c_piix4 pcspkr parport_pc ppdev floppy bochs drm qemu_fw_cfg
    serio_raw aesni_intel ghash_clmulni_intel crct10dif_pclmul crc32_pclmul sha512_ssse3 sha256_ssse3 sha1_ssse3
    powernow_k8 acpi_cpufreq button aes_ce_blk aes_ce_cipher crct10dif_ce polyval_ce ghash_ce sha2_ce sha1_ce
    gpio_keys virtio_mmio
"""


def trim(root: Path) -> None:
    units = root / "etc/systemd/system"
    for name in (*(f"{service}.service" for service in SERVICES.split()), *OTHERS.split()):
        _mask(units / name)
    for name in GENERATORS.split():
        _mask(root / f"etc/systemd/system-generators/systemd-{name}-generator")
    trigger = units / "systemd-udev-trigger.service.d/lab.conf"
    trigger.parent.mkdir()
    trigger.write_text(TRIGGER)
    (root / "etc/modprobe.d/lab.conf").write_text("".join(f"blacklist {name}\n" for name in MODULES.split()))


def _mask(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/null")
