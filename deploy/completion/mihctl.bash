# shellcheck shell=bash
# Completion of mihctl for bash: source it, or put it as `mihctl` into share/bash-completion/completions.

_mihctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' action='' files='' i
    local common='--json --config --help' which='--id --service --rule --event --reason --from --to --all --limit'
    local how="$which --mode --rate --dry-run --canary --stop-after --wait"
    local -a words=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --json | --all | --dry-run | --canary | --wait) ;;
        --*) i=$((i + 1)) ;; # and its value
        *) words+=("${COMP_WORDS[i]}") ;;
        esac
    done
    command=${words[0]-} action=${words[1]-}
    case $command in render | send) files=1 ;; esac
    case $before in
    --config) files=2 ;;
    --service | --rule | --event) [[ $files ]] && files=2 ;;
    --data) files=2 ;;
    --mode) mapfile -t COMPREPLY < <(compgen -W 'sent render' -- "$word") && return ;;
    --id | --reason | --from | --to | --limit | --rate | --stop-after | --interval | --rule-id | --message-id | --now) return ;;
    esac
    if [[ $files == 2 ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    case $before in --service | --rule | --event) return ;; esac
    case $command:$action in
    :) common="check status top pause resume breaker trace dlq render send $common --version" ;;
    top:*) common="--interval $common" ;;
    breaker:?*) common="reset $common" ;;
    dlq:) common="list show replay discard $common" ;;
    dlq:list) common="$which $common" ;;
    dlq:replay | dlq:discard) common="$how $common" ;;
    render:* | send:*) common="--rule-id --service --rule --data --event --message-id --now $common" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$common" -- "$word")
}

complete -F _mihctl mihctl
