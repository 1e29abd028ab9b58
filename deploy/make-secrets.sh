#!/bin/sh
# Makes the files of deploy/secrets that docker-compose.yml names. What only this installation uses is random; what
# belongs to others is asked for (or taken from the environment): SIIRAYS_URL, FASTAAPS_PASSWORD.
# A file that is there stays as it is, so that running it again changes nothing.
# Usage: deploy/make-secrets.sh [folder]
set -eu
folder=${1:-$(dirname "$0")/secrets}

# The folder keeps others out. The files are readable to all, since each container has a user of its own that must read
# its file, and compose mounts a file with the rights that it has here.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

put() { # name text
  [ -s "$folder/$1" ] && return 0
  printf '%s\n' "$2" >"$folder/$1"
  echo "made $folder/$1"
}

take() { head -n 1 "$folder/$1"; }

ask() { # variable question
  eval "answer=\${$1:-}"
  if [ -z "$answer" ]; then
    printf '%s: ' "$2" >&2
    stty -echo 2>/dev/null || true
    read -r answer
    stty echo 2>/dev/null || true
    echo >&2
  fi
  [ -n "$answer" ] || { echo "$1 is needed" >&2; exit 64; }
}

if [ ! -s "$folder/siirays_url" ]; then
  ask SIIRAYS_URL 'SIIRAyS, postgres://user:password@host:port/database'
  put siirays_url "$answer"
fi
if [ ! -s "$folder/fastaaps_password" ]; then
  ask FASTAAPS_PASSWORD "FASTAAPS's password for FASTAAPS_USERNAME"
  put fastaaps_password "$answer"
fi

put sync_password "$(random)"
put sync_url "postgres://sync:$(take sync_password)@database:5432/sync"
put registry_password "$(random)"
put registry.properties "apicurio.datasource.password=$(take registry_password)"
put metrics_password "$(random)"
put operator_password "$(random)"
put viewer_password "$(random)"
put spring.security.user.password "$(random)"

# PgBouncer takes the same user as the producer, on the service's own address, and hands the password on to SIIRAyS.
rest=$(take siirays_url | sed 's#^[a-z]*://##')
login=${rest%@*}
place=${rest##*@}
address=${place%%/*}
case $address in *:*) port=${address##*:} ;; *) port=5432 ;; esac
database=${place#*/}
database=${database%%\?*}
decode() { # %-escapes to bytes
  printf '%s\n' "$1" | LC_ALL=C awk '{
    while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
      high = index("0123456789abcdef", tolower(substr($0, RSTART + 1, 1))) - 1
      low = index("0123456789abcdef", tolower(substr($0, RSTART + 2, 1))) - 1
      printf "%s%c", substr($0, 1, RSTART - 1), high * 16 + low
      $0 = substr($0, RSTART + 3)
    }
    print
  }'
}
quote() { printf '%s' "$1" | sed 's/"/""/g'; }
put siirays_read_url "postgres://$login@pgbouncer:6432/$database"
put pgbouncer_users "\"$(quote "$(decode "${login%%:*}")")\" \"$(quote "$(decode "${login#*:}")")\""
put pgbouncer_databases "$database = host=${address%:*} port=$port"
