//! The broken files, by format.

use crate::broken::{A100, Broken};

/// A mig-parted file around one entry.
macro_rules! parted {
    ($entry:literal) => {
        concat!("version: v1\nmig-configs:\n  mine:\n    - ", $entry, "\n")
    };
}

/// A pod around one container's resources.
macro_rules! pod {
    ($resources:literal) => {
        concat!(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: c\n      resources: ",
            $resources,
            "\n"
        )
    };
}

/// A plugin's file with a pod that asks for something.
macro_rules! plugin {
    ($sharing:literal) => {
        concat!("version: v1\nflags: {migStrategy: none}\nsharing:\n", $sharing, "\n")
    };
}

/// A claim around one device request.
macro_rules! claim {
    ($devices:literal) => {
        concat!(
            "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: c}\nspec:\n  devices:\n",
            $devices,
            "\n"
        )
    };
}

/// A node of two A100, with more metadata.
macro_rules! node {
    ($more:literal) => {
        concat!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: gpu-0\n  labels:\n    nvidia.com/gpu.product: NVIDIA-A100-SXM4-40GB\n    \
             nvidia.com/gpu.count: '2'\n",
            $more,
            "\n"
        )
    };
}

pub(crate) const BROKEN: &[Broken] = &[
    // mig-parted
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {3g.20gb: 1, 2g.10gb: 1, 1g.5gb: 3}}"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {3g.40gb: 2}}"),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {3g.41gb: 2}}"),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 8}}"),
        expected: &[],
    },
    Broken { gpus: A100, text: parted!("{devices: all, mig-enabled: true}"), expected: &[] },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-device: {1g.5gb: 7}}"),
        expected: &[],
    },
    Broken { gpus: A100, text: parted!("{devices: al, mig-enabled: false}"), expected: &[] },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: false, mig-devices: {1g.5gb: 7}}"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g5gb: 7}}"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 4, 3g.20gb: 0}}"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: -1}}"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: parted!("{device-filter: '0x20B0', devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}"),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: parted!(
            "{device-filter: '0x20B910DE', devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}"
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "version: v2\nmig-configs: {off: [{devices: all, mig-enabled: false}]}\n",
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nmig-configs:\n  all+me: [{devices: all, mig-enabled: false}]\n",
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nmig-configs:\n  two:\n    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}\n    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 2}}\n",
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.10gb: 1, 1g.5gb: 6}}"),
        expected: &[],
    },
    // mig-parted's checkpoint
    Broken {
        gpus: A100,
        text: "{\"Version\": \"v1\", \"MigState\": {\"Devices\": [{\"UUID\": \"GPU-1\", \"MigMode\": 1, \"GpuInstances\": [\n{\"ProfileID\": 9, \"Placement\": {\"Start\": 4, \"Size\": 4}}]}]}}\n",
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "{\"Version\": \"v1\", \"MigState\": {\"Devices\": [{\"UUID\": \"GPU-1\", \"MigMode\": 1, \"GpuInstances\": [\n{\"ProfileID\": 2, \"Placement\": {\"Start\": 2, \"Size\": 4}}]}]}}\n",
        expected: &[],
    },
    // the GPU operator's ConfigMap
    Broken {
        gpus: A100,
        text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mig}\ndata:\n  mig.yaml: |\n    version: v1\n    mig-configs:\n      a: [{devices: all, mig-enabled: false}]\n",
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mig}\ndata:\n  config.yaml: |\n    version: v1\n    mig-configs:\n      a: [{devices: all, mig-enabled: true, mig-devices: {7g.40gb: 2}}]\n",
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mig}\ndata:\n  config.yaml: |\n    version: v1\n    mig-configs:\n      a: [{devices: all, mig-enabled: false}\n",
        expected: &[],
    },
    // nos
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-40GB-SXM4]\n  allowedGeometries: [{1g.5gb: 7}]\n",
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-80GB]\n  allowedGeometries:\n    - {2g.20gb: 2, 3g.20gb: 1}\n",
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-40GB]\n  allowedGeometries:\n    - {3g.20gb: 1, 1g.5gb: 4}\n",
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-40GB]\n  allowedGeometries: [{1g.5gb: 0}]\n",
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-40GB]\n  allowedGeometries: [{1g.5gb+me: 1}]\n",
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mig\n  annotations:\n    nos.nebuly.com/spec-gpu-0-3g.20gb: '3'"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mig\n  annotations:\n    nos.nebuly.com/spec-gpu-0-1g.5gb-me: '1'"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mps\n  annotations:\n    nos.nebuly.com/spec-gpu-2-10gb: '1'"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mps\n  annotations:\n    nos.nebuly.com/spec-gpu-1-20gb: '2'"
        ),
        expected: &[],
    },
    Broken { gpus: &[], text: node!("    nos.nebuly.com/gpu-partitioning: hybrid"), expected: &[] },
    Broken { gpus: &[], text: "gpuPartitioner:\n  knownMigGeometries: []\n", expected: &[] },
    Broken {
        gpus: &[],
        text: "operator: {enabled: true}\nscheduler:\n  config: {leaderElection: {}}\n",
        expected: &[],
    },
    // NVIDIA's device plugin
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 1}]"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 60}]"),
        expected: &[],
    },
    Broken {
        gpus: &[("t4", 1)],
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 24}]"),
        expected: &[],
    },
    Broken {
        gpus: &[("v100-sxm2-16gb", 1)],
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 20}]"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!("  timeSlicing:\n    resources: [{name: nvidia.com/gpu, replica: 4}]"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!("  timeSlicing:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4, rename: gpu-10gb}]"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4, devices: all}]"),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nflags: {migStrategy: mixed}\nsharing:\n  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]\n",
        expected: &[],
    },
    Broken { gpus: A100, text: "version: v1\nflags: {migStrategy: both}\nsharing: {}\n", expected: &[] },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/mig-1g.5gb, replicas: 2}]"),
        expected: &[],
    },
    // nebuly's device plugin
    Broken {
        gpus: A100,
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-30gb, memoryGB: 30, replicas: 2, devices: ['0']}"
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-10gb, memoryGB: 10, replicas: 2, devices: [all]}"
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-10gb, memoryGB: 20, replicas: 1, devices: ['0']}"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[("a100-80gb", 1)],
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-1gb, memoryGB: 1, replicas: 50, devices: ['0']}"
        ),
        expected: &[],
    },
    // DRA
    Broken {
        gpus: &[],
        text: claim!(
            "    requests:\n      - name: a\n        exactly:\n          deviceClassName: mig.nvidia.com\n          selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '1g.5gb.me'\"}}]"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: claim!(
            "    requests:\n      - name: a\n        exactly:\n          deviceClassName: mig.nvidia.com\n          selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profil == '1g.5gb'\"}}]"
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: claim!(
            "    requests:\n      - name: a\n        exactly:\n          deviceClassName: mig.nvidia.com\n          count: 3\n          selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '3g.20gb'\"}}]\n    constraints: [{requests: [], matchAttribute: gpu.nvidia.com/parentUUID}]"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: claim!("    requests: [{name: a, deviceClassName: gpu.nvidia.com}]"),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: claim!("    requests: [{name: a, exactly: {deviceClassName: gpu.nvida.com}}]"),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: claim!(
            "    requests: [{name: a, exactly: {deviceClassName: gpu.nvidia.com}}]\n    config:\n      - opaque:\n          driver: gpu.nvidia.com\n          parameters:\n            apiVersion: resource.nvidia.com/v1beta1\n            kind: GpuConfig\n            sharing: {strategy: MPS, mpsConfig: {defaultActiveThreadPercentage: 120}}"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: claim!(
            "    requests: [{name: a, exactly: {deviceClassName: gpu.nvidia.com}}]\n    config:\n      - opaque:\n          driver: gpu.nvidia.com\n          parameters:\n            apiVersion: resource.nvidia.com/v1beta1\n            kind: GpuConfig\n            sharing: {strategy: TimeSlicing, mpsConfig: {}}"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: t}\nspec:\n  devices:\n    requests: [{name: a, exactly: {deviceClassName: gpu.nvidia.com}}]\n",
        expected: &[],
    },
    // nvidia-smi
    Broken {
        gpus: A100,
        text: "#!/bin/sh\nnvidia-smi -i 0 -mig 1\nnvidia-smi mig -i 0 -cgi 9:4,19:7 -C\n",
        expected: &[],
    },
    Broken { gpus: A100, text: "#!/bin/sh\nnvidia-smi mig -i 0 -cgi 9:4,14:0\n", expected: &[] },
    Broken { gpus: &[], text: "#!/bin/sh\nnvidia-smi mig -i 0 -cgi 99 -C\n", expected: &[] },
    // pods
    Broken { gpus: A100, text: pod!("{limits: {nvidia.com/gpus: 1}}"), expected: &[] },
    Broken { gpus: A100, text: pod!("{limits: {nvidia.com/gpu: 4}}"), expected: &[] },
    Broken { gpus: A100, text: pod!("{limits: {nvidia.com/mig-1g.10gb+me: 1}}"), expected: &[] },
    Broken { gpus: A100, text: pod!("{limits: {nvidia.com/mig-1g.12gb: 1}}"), expected: &[] },
    Broken { gpus: A100, text: pod!("{limits: {nvidia.com/gpu: 500m}}"), expected: &[] },
    Broken { gpus: A100, text: pod!("{requests: {nvidia.com/gpu: 1}}"), expected: &[] },
    Broken { gpus: A100, text: pod!("{limits: {nvidia.com/gpu: one}}"), expected: &[] },
    Broken {
        gpus: A100,
        text: concat!(
            plugin!(
                "  mps:\n    renameByDefault: true\n    resources: [{name: nvidia.com/gpu, replicas: 4}]"
            ),
            "---\n",
            pod!("{limits: {nvidia.com/gpu: 1}}")
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: concat!(
            plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]"),
            "---\n",
            pod!("{limits: {nvidia.com/gpu: 2}}")
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: concat!(
            "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: true, mig-devices: {3g.20gb: 2}}]\n---\n",
            "version: v1\nflags: {migStrategy: single}\nsharing: {}\n---\n",
            pod!("{limits: {nvidia.com/mig-3g.20gb: 1}}")
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: concat!(
            "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: true, mig-devices: {3g.20gb: 2}}]\n---\n",
            pod!("{limits: {nvidia.com/mig-4g.20gb: 1}}")
        ),
        expected: &[],
    },
    Broken {
        gpus: A100,
        text: concat!(
            "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}]\n---\n",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {slicewise/gpu-memory: 5Gi}}\n",
            "spec: {containers: [{name: c, resources: {limits: {nvidia.com/mig-1g.5gb: 1}}}]}\n"
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: concat!(
            node!("    nos.nebuly.com/gpu-partitioning: mig"),
            "---\n",
            pod!("{limits: {nvidia.com/mig-4g.20gb: 2, nvidia.com/mig-2g.10gb: 4}}")
        ),
        expected: &[],
    },
    Broken {
        gpus: &[],
        text: concat!(
            node!("    nvidia.com/mig.config: al-1g.5gb"),
            "---\n",
            "version: v1\nmig-configs:\n  all-1g.5gb: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}]\n"
        ),
        expected: &[],
    },
    // what is none of these
    Broken { gpus: &[], text: "version: v1\nmig-config: {}\n", expected: &[] },
    Broken { gpus: &[], text: "a: [1\n", expected: &[] },
    Broken { gpus: &[], text: "", expected: &[] },
];
