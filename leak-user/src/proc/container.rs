//! Which container a control group path belongs to.

/// The container in a control group path: the 64 hexadecimal digits that Docker,
/// Podman, containerd and CRI-O name theirs by, or the name of an LXC container.
/// Of nested containers the innermost.
#[must_use]
pub fn container_id(cgroup_path: &str) -> Option<String> {
    cgroup_path
        .rsplit('/')
        .find_map(hexadecimal_id)
        .or_else(|| lxc_name(cgroup_path))
        .map(str::to_owned)
}

/// A run of exactly 64 hexadecimal digits in a path's segment.
fn hexadecimal_id(segment: &str) -> Option<&str> {
    // conmon watches the container from outside and carries its id.
    if segment.contains("conmon-") {
        return None;
    }
    segment
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `/lxc.payload.NAME/...` (since LXC 4) or `/lxc/NAME/...`.
fn lxc_name(path: &str) -> Option<&str> {
    let mut segments = path.split('/');
    while let Some(segment) = segments.next() {
        let name = match segment {
            "lxc" => segments.next()?,
            _ => match segment.strip_prefix("lxc.payload.") {
                Some(name) => name,
                None => continue,
            },
        };
        return (!name.is_empty()).then_some(name);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e8c1b9a7d6e5f0c2b1a9988776655443322110ffeeddccbbaa99887766554";

    #[test]
    fn every_runtime_is_recognised() {
        let forms = [
            "/docker/ID",
            "/system.slice/docker-ID.scope",
            "/docker/ID/system.slice/nginx.service",
            "/docker/ID/init.scope",
            "/machine.slice/libpod-ID.scope",
            "/machine.slice/libpod-ID.scope/container",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "/libpod_parent/libpod-ID",
            "/kubepods/burstable/pod2b801b7a-5266-4386-864e-45ed71136371/ID",
            "/kubepods/besteffort/pod2b801b7a-5266-4386-864e-45ed71136371/ID",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod2b801b7a_5266_4386_864e_45ed71136371.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2b801b7a.slice/crio-ID.scope",
            "/kubepods.slice/kubepods-pod2b801b7a.slice/crio-ID.scope/container",
            "/kubepods.slice/kubepods-pod2b801b7a.slice/docker-ID.scope",
            "/system.slice/containerd.service/kubepods-burstable-pod2b801b7a.slice:cri-containerd:ID",
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod2b801b7a.slice/cri-containerd-ID.scope",
            "/system.slice/garden.service/garden/docker/ID",
            "/actions_job/ID",
            "/ecs/0123456789abcdef0123456789abcdef/ID",
            "/default/ID",
            "/lxc/101/ns/docker/ID",
            "/../ID",
        ];
        for form in forms {
            let path = form.replace("ID", ID);
            assert_eq!(container_id(&path).as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn the_innermost_of_two_is_taken() {
        let outer = "a".repeat(64);
        let path = format!("/docker/{outer}/docker/{ID}");
        assert_eq!(container_id(&path).as_deref(), Some(ID));
    }

    #[test]
    fn lxc_containers_have_names() {
        for path in [
            "/lxc/web",
            "/lxc.payload.web/init.scope",
            "/lxc/web/system.slice",
        ] {
            assert_eq!(container_id(path).as_deref(), Some("web"), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_has_no_id() {
        let paths = [
            String::new(),
            "/".into(),
            "/user.slice/user-1000.slice/session-2.scope".into(),
            "/system.slice/ssh.service".into(),
            "/system.slice/docker.service".into(),
            "/lxc".into(),
            "/lxc/".into(),
            "/lxc.monitor.web".into(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/docker/{}", &ID[..63]),
            format!("/docker/{ID}0"),
            format!("/docker/{}g", &ID[..63]),
            "/docker/".to_owned() + &"é".repeat(32),
        ];
        for path in paths {
            assert_eq!(container_id(&path), None, "{path}");
        }
    }
}
