#!/bin/sh
# Makes what the compose files need besides images, unless it is there: passwords (.env) and certificates (certs/), both beside this file. Needs
# openssl. Names that the NATS servers are reached under, besides those of the compose files, are arguments:
#   docker/setup.sh nats.example.com
set -eu
folder="${SLUICE_SETUP_DIR:-$(dirname "$0")}"
mkdir -p "$folder/certs"
cd "$folder"
umask 077

if [ ! -f .env ]; then
  for name in PUBLISHER WORKER ENGINE VIEWER OPERATOR DASHBOARD; do
    # A letter first: nats-server would read some digits as a number.
    echo "SLUICE_${name}_PASSWORD=s$(openssl rand -hex 24)"
  done > .env.new
  mv .env.new .env
fi

if [ ! -f certs/server.pem ]; then
  names="DNS:localhost,IP:127.0.0.1,DNS:nats,DNS:nats-1,DNS:nats-2,DNS:nats-3"
  for name in "$@"; do names="$names,DNS:$name"; done
  openssl ecparam -name prime256v1 -genkey -noout -out certs/ca-key.pem
  openssl req -x509 -new -key certs/ca-key.pem -sha256 -days 3650 -subj "/CN=Sluice CA" -out certs/ca.pem
  openssl ecparam -name prime256v1 -genkey -noout -out certs/server-key.pem
  openssl req -new -key certs/server-key.pem -subj "/CN=nats" -out certs/server.csr
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" > certs/server.ext
  openssl x509 -req -in certs/server.csr -CA certs/ca.pem -CAkey certs/ca-key.pem -CAcreateserial -sha256 -days 825 \
    -extfile certs/server.ext -out certs/server.pem
  rm certs/server.csr certs/server.ext
  # Containers read it as other users; the keys are for root and their owner.
  chmod 644 certs/ca.pem
fi
