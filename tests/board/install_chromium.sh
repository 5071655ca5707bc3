#!/bin/sh
# Install Debian's Chromium for test_in_browser.py, where that takes asking
# nobody. Elsewhere the test is skipped: this never fails.

packages="chromium chromium-driver"

skip() {
    echo "==> The test in a browser will be skipped: $1"
    exit 0
}

apt_get() {
    $root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 \
        -o DPkg::Lock::Timeout=60 </dev/null 2>&1
}

install() {
    # shellcheck disable=SC2086  # two words
    apt_get install -y --no-install-recommends $packages
}

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
command -v apt-get >/dev/null || skip "no apt-get to install $packages with"
if [ "$(id -u)" = 0 ]; then
    root=
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    skip "it takes root to install $packages"
fi
echo "==> Installing $packages for the test in a browser (once)"
# The lists of packages may be missing, as in most containers, or too old.
install >/dev/null || said=$(apt_get update && install) ||
    skip "apt-get says: $(echo "$said" | grep '^E:' | head -n 1)"
