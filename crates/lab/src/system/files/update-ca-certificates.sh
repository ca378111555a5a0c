#!/bin/sh
# Trusts the certificates that the seed brought, and does only that.
#
# cloud-init calls update-ca-certificates, which starts a thousand programs to build
# anew what the image holds already. Only cloud-init finds this script: it is in no
# other PATH. Whatever is not a plain addition goes to the real program.
real=/usr/sbin/update-ca-certificates
new=/usr/share/ca-certificates/cloud-init-ca-certs.crt
certs=/etc/ssl/certs
bundle=$certs/ca-certificates.crt
link=$certs/cloud-init-ca-certs.pem

lines=0
while read -r _ && [ $lines -lt 2 ]; do lines=$((lines + 1)); done < /etc/ca-certificates.conf
if [ $# -ne 0 ] || [ $lines -lt 2 ] || [ ! -s $new ] || [ ! -s $bundle ] || [ -e $link ]; then
    exec $real "$@"
fi

set -e
cp -p $bundle $bundle.new
{ cat $new; echo; } >> $bundle.new
# Programs that look in the folder find a certificate by the hash of its name.
name=$(openssl x509 -noout -subject_hash -in $new)
number=0
while [ -e "$certs/$name.$number" ]; do number=$((number + 1)); done
ln -s "${link##*/}" "$certs/$name.$number"
ln -s $new $link
mv $bundle.new $bundle
