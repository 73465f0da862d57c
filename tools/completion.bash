# Completion of theta's command line for bash (and zsh, through completion.zsh): commands, options, configurations, and the keys of --set.
_theta() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} theta=${COMP_WORDS[0]} commands=() each
  for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $each == -* || $each == */* || $each == *.toml ]] || commands+=("$each")
  done
  [ "$before" = --set ] && commands=("${commands[@]:0:1}")
  compopt +o nospace 2>/dev/null
  if [ "$before" = --set ] || [[ $before == keys && $word != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$("$theta" keys 2>/dev/null | sed -n 's/^\([a-z][^ ]*\) = .*/\1/p')" -- "$word")
    [ "$before" = --set ] && COMPREPLY=("${COMPREPLY[@]/%/=}") && compopt -o nospace 2>/dev/null
    return
  fi
  # What the command says of itself: options where a word begins with a hyphen, else its commands.
  local help
  help=$("$theta" ${commands[@]+"${commands[@]}"} --help 2>/dev/null || "$theta" ${commands[0]+"${commands[0]}"} --help 2>/dev/null)
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(grep -oE -- '--[a-z][a-z-]*' <<<"$help" | sort -u)" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(sed -n '/^Subcommands:/,$s/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")" -- "$word")
  fi
  [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _theta theta
