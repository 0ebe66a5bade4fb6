// Package conformance is Gateway API's public suite as one program, which first says what its tests are.
package conformance

import (
	"encoding/json"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

var profiles = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile,
	suite.GatewayGRPCConformanceProfile,
	suite.MeshHTTPConformanceProfile,
	suite.MeshGRPCConformanceProfile,
}

type profile struct {
	Core     []features.FeatureName `json:"core"`
	Extended []features.FeatureName `json:"extended"`
}

type test struct {
	Name        string                 `json:"name"`
	Description string                 `json:"description"`
	Features    []features.FeatureName `json:"features"`
	Provisional bool                   `json:"provisional"`
}

type catalogue struct {
	Profiles map[suite.ConformanceProfileName]profile `json:"profiles"`
	Tests    []test                                   `json:"tests"`
}

// TestCatalogue prints what the suite has to offer, as one line of JSON.
func TestCatalogue(t *testing.T) {
	found := catalogue{Profiles: map[suite.ConformanceProfileName]profile{}}
	for _, each := range profiles {
		found.Profiles[each.Name] = profile{
			Core:     sets.List(each.CoreFeatures),
			Extended: sets.List(each.ExtendedFeatures),
		}
	}
	for _, each := range tests.ConformanceTests {
		found.Tests = append(found.Tests, test{each.ShortName, each.Description, each.Features, each.Provisional})
	}
	line, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

// TestConformance runs what the suite's own flags ask for.
func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
